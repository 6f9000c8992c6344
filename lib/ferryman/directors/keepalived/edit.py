"""What a target makes of a configuration that ferryman does not own: an edit of its words alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferryman.directors.keepalived.scheduler import with_scheduler
from ferryman.directors.keepalived.text import TextError, with_method
from ferryman.directors.target import SetForwarding, SetScheduler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ferryman.directors.target import Target
    from ferryman.model import VirtualService


def edited(text: str, virtuals: Iterable[VirtualService], target: Target) -> str:
    """The text with these virtual services' blocks as the target says; twice is the same as once.

    Raises:
        TextError: A block is missing, or cannot be edited safely.
    """
    match target:
        case SetForwarding(forwarding):
            return with_method(text, virtuals, forwarding)
        case SetScheduler():
            return with_scheduler(text, virtuals, target)
    raise TextError(f"{target} is nothing that is edited in a file")
