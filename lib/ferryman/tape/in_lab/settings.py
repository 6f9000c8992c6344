"""The configuration of a run in a lab: what the tape's run was configured with, as far as a lab has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ferryman.tape.in_lab.names import Names

_TABLES = ("probe", "traffic", "directors", "watch")
"""Neither the catalog's review nor management agents: a lab has none."""
_FIRST = """\
# Ferryman's configuration for a recorded run that is run again in a lab; it goes with the lab.
inventory = "inventory"
cookbooks = {cookbooks}
state = "sqlite:.ferryman/state.db"
lab = true

[ssh]
user = "root"
config = false
"""


def toml_of(config: Mapping[str, Any], names: Names, cookbooks: Sequence[Path]) -> str:
    """The text of a ``ferryman.toml`` for the lab."""
    folders = json.dumps([str(folder) for folder in cookbooks])
    parts = [_FIRST.format(cookbooks=folders)]
    for name in _TABLES:
        table = config.get(name)
        if not isinstance(table, dict):
            continue
        known = json.loads(names.text(json.dumps(table)))
        for transfer in ("download", "upload"):  # the lab's web server has these paths
            if name == "traffic" and known.get(transfer):
                known[transfer] = f"/{transfer}"
        lines = [f"{json.dumps(key)} = {_value(value)}" for key, value in known.items() if value is not None]
        parts.append("\n".join([f"[{name}]", *lines, ""]))
    return "\n".join(parts)


def _value(value: Any) -> str:  # noqa: ANN401  # JSON
    """A value as TOML has it: as JSON, but for tables."""
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)
