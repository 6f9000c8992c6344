"""Who is at the keyboard."""

from __future__ import annotations

import os
import pwd


def operator() -> str:
    """The user behind sudo, where there is one, and the host; asked before the lab is entered."""
    name = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    return f"{name}@{os.uname().nodename}"
