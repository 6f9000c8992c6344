"""What a host does at its next boot, from the files that its boot reads: who makes and sets what."""

from ferryman.realservers.facts.boot.actions import Action, Deed
from ferryman.realservers.facts.boot.collected import Boot, boot_of

__all__ = ["Action", "Boot", "Deed", "boot_of"]
