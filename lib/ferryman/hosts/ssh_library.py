"""Imports paramiko, without what it needs for a thing that is not used here: the only module that does.

Paramiko's own reader of ssh_config runs the commands of ``Match exec`` by invoke, and does without where that
is not installed. Ferryman reads ssh_config itself, and invoke brings in asyncio and unittest: a third of the
time that it takes to import paramiko.
"""

from __future__ import annotations

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_is_withheld = _modules.setdefault("invoke", None) is None  # an import of None is an ImportError
try:
    import paramiko
    import paramiko.agent
    import paramiko.pkey
finally:
    if _is_withheld:
        del _modules["invoke"]  # whoever else wants it has it

__all__ = ["paramiko"]
