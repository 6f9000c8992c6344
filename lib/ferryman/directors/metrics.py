"""What a daemon says of itself in Prometheus' text format: a metric, its labels, its value."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAMPLE = re.compile(
    r'^([A-Za-z_:][\w:]*+)(?:\{((?:[^"}\n]|"(?:[^"\\\n]|\\.)*+")*+)\})?[ \t]++(\S++)', re.MULTILINE
)
"""Within one line, and nothing is tried twice: a daemon's answer may be long and damaged."""
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples(text: str, *names: str) -> list[Sample]:
    """The samples of these metrics; lines that are none, comments and complaints of curl, are passed over.

    So is a value that is not finite: it counts nothing, and is no time.
    """
    return [
        Sample(name, dict(_LABEL.findall(labels)), value)
        for name, labels, number in _SAMPLE.findall(text)
        if name in names and (value := _number(number)) is not None
    ]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
