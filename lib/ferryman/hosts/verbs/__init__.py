"""Everything that is asked of a host or done to it, as values: a file for each family of verbs.

``verb`` has the base classes, ``kinds`` the forms that arguments must have, ``registry`` all verbs by name.
"""

from ferryman.hosts.verbs import kinds
from ferryman.hosts.verbs.verb import ReadVerb, Verb, WriteVerb

__all__ = ["ReadVerb", "Verb", "WriteVerb", "kinds"]
