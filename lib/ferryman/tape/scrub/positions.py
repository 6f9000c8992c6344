"""Where on a tape names and texts stand, and where the words of the format, which must stay.

Scrubber and verifier walk a tape by these rules; nothing is found by looking for names in the file's bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

What = Literal["name", "text", "phrase", "word"]
"""``name`` is one as a whole; ``text`` may have names in it; ``phrase`` is what people wrote freely, and goes
as a whole; ``word`` is the format's, and stays."""

EVENT_WORDS = frozenset(
    {"event", "verdict", "phase", "outcome", "check", "kind", "lane", "protocol", "cookbook"}
)
"""Keys of events whose values are words of the format."""
FIELD_WORDS = frozenset(
    {
        *("check", "protocol", "scheduler", "scheduler_flags", "driver", "verb", "phase", "kind", "verdict"),
        *("lvs_class", "mss", "role"),
    }
)
"""Fields of values whose texts are words."""
NAME_FIELDS = frozenset(
    {
        *("host", "hosts", "hostname", "service", "services", "site", "sites", "cluster", "node", "nodes"),
        *("namespace", "director", "directors", "realserver", "label", "user", "only_node"),
    }
)
"""Arguments, and fields of values, whose texts are names."""
CLUSTER_NAMES = frozenset({"name", "cluster", "pod", "service_account"})
"""What is a name, too, in what a Kubernetes cluster says."""
CLUSTER_LABELS = frozenset({"labels", "selector", "matchLabels"})
"""Mappings there whose values are names, and whose keys may have somebody's domain."""
PHRASES = frozenset({"reason", "task", "description"})
"""Keys whose texts people wrote freely."""
WORD_KEYS = frozenset(
    {
        *("stdout", "stderr", "status", "sha256", "content", "type", "message", "with", "input", "command"),
        *EVENT_WORDS,
        *NAME_FIELDS,
        *PHRASES,
    }
)
"""Keys of plain objects that are never names."""

NAMED_TABLES = frozenset({"service", "alertmanager", "webhook", "log"})
"""Tables of ferryman.toml that have a table for each of their names."""

SERVICES = "services.yaml"
CATALOG = "service::catalog"
_CATALOG_KEYS = frozenset(
    {
        *(
            "ip",
            "port",
            "sites",
            "state",
            "encryption",
            "lvs",
            "probes",
            "description",
            "discovery",
            "aliases",
        ),
        *("enabled", "class", "conftool", "scheduler", "scheduler_flag", "protocol", "ipip_encapsulation"),
        *("cluster", "service", "type", "path", "post_json", "monitors", "depool_threshold", "monitoring"),
        *("IdleConnection", "ProxyFetch", "max-delay", "timeout-clean-reconnect", "url", "page", "role"),
        *("team", "httpbb_dir", "public_endpoint", "public_aliases", "dnsdisc", "active_active", CATALOG),
    }
)
_CATALOG_WORDS = frozenset(
    {"state", "class", "scheduler", "scheduler_flag", "protocol", "type", "role", "active_active"}
)
_DIRECTOR_WORDS = frozenset({"role", "driver"})
_HOST_WORDS = frozenset({"kind", "mss"})
_CLUSTER_WORDS = frozenset({"mss", "stage"})


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a YAML text."""

    start: int
    end: int
    what: What
    value: str
    """Of a scalar; of what stands between scalars, comments among it, the text itself."""
    style: str | None = None
    """The scalar's quotes or block indicator; None for a plain one and for what stands between."""
    is_scalar: bool = False
    is_entry: bool = False
    """Whether it is the key of an entry of the file, such as a service of the catalog."""


def yaml_parts(file: str, text: str) -> list[Part] | None:
    """A file of the inventory in parts, in order and without gaps; None where it is no YAML."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    found = {} if root is None else {part.start: part for part in _scalars(file, root, ())}
    parts: list[Part] = []
    end = 0
    for start in sorted(found):
        parts += [Part(end, start, "text", text[end:start]), found[start]]
        end = found[start].end
    return [*parts, Part(end, len(text), "text", text[end:])]


def _scalars(file: str, node: yaml.Node, path: tuple[str, ...], *, is_key: bool = False) -> Iterator[Part]:
    if isinstance(node, yaml.ScalarNode):
        what = _in_file(file, path, is_key=is_key, is_text=node.tag.endswith(":str"))
        is_entry = is_key and len(path) == 1
        yield Part(node.start_mark.index, node.end_mark.index, what, node.value, node.style, True, is_entry)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(file, item, (*path, ""))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            inside = path if not path and name == CATALOG else (*path, name)
            yield from _scalars(file, key, inside, is_key=True)
            yield from _scalars(file, value, inside)


def _in_file(file: str, path: tuple[str, ...], *, is_key: bool, is_text: bool) -> What:
    """What a scalar is, by the keys that lead to it; of a key it is the last of them."""
    if file == SERVICES:
        return _in_catalog(path, is_key=is_key, is_text=is_text)
    if file.startswith("nodes/"):
        return "name"
    keys = {"directors.yaml": _DIRECTOR_WORDS, "hosts.yaml": _HOST_WORDS, "clusters.yaml": _CLUSTER_WORDS}
    words = keys.get(file, frozenset())
    if is_key:
        return "name" if len(path) == 1 else "word"
    if path[-1:] and (path[-1] in words or not is_text):
        return "word"
    return "name" if any(key in NAME_FIELDS for key in path[-2:]) else "text"


def _in_catalog(path: tuple[str, ...], *, is_key: bool, is_text: bool) -> What:
    if not path:
        return "word"
    under_ip = path[1:2] == ("ip",)
    if is_key:
        if len(path) == 1 or (under_ip and len(path) > 2):  # noqa: PLR2004  # SERVICE: ip: SITE: LABEL
            return "name"
        return "word" if path[-1] in _CATALOG_KEYS else "text"
    if not is_text or any(key in _CATALOG_WORDS for key in path[-2:]):
        return "word"
    if path[1:] == ("description",):
        return "phrase"
    named = ("cluster", "service", "sites", "ipip_encapsulation")
    return "name" if not under_ip and any(key in named for key in path[-2:]) else "text"


def is_structure(value: Mapping[str, object]) -> bool:
    """Whether an encoded value's keys are the format's: then only its values may have names."""
    return any(key.startswith("$") for key in value)
