"""What services, hosts, sites, classes, clusters and users may be called.

Their names become parts of commands that people paste, of file names, of references in git and of lines in a
log. So they have letters, digits and ``.``, ``_``, ``-`` alone, and begin with no ``-`` that would be an
option and no ``.`` that would be a folder.
"""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}|[0-9A-Fa-f:]{2,39}(?:%[A-Za-z0-9._-]{1,15})?")
"""A name as DNS and people have them, or an address."""
USER = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._@+\\-]{0,252}[$]?)")
"""Also one of a realm or of a domain: ``ops@EXAMPLE.ORG``, ``EXAMPLE\\ops``."""
EXPECTED = "a name of letters, digits and . _ -, that begins with none of . -"


def is_name(text: str) -> bool:
    r"""Whether something may be called so.

    >>> is_name("web-1.example"), is_name("../etc"), is_name("-oProxyCommand=x"), is_name("a\n")
    (True, False, False, False)
    """
    return NAME.fullmatch(text) is not None


def is_host(text: str) -> bool:
    """Whether a host may be called so; an IPv6 address is a host too."""
    return HOST.fullmatch(text) is not None


def is_user(text: str) -> bool:
    """Whether a user may be called so."""
    return USER.fullmatch(text) is not None
