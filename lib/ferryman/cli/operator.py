"""Who is at the keyboard."""

from __future__ import annotations

import os

from ferryman.permissions import user_name


def operator() -> str:
    """The user behind sudo, where there is one, and the host; asked before the lab is entered."""
    name = os.environ.get("SUDO_USER") or user_name(os.getuid())
    return f"{name}@{os.uname().nodename}"
