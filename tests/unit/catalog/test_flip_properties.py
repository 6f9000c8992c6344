"""Catalogs in styles that nobody would think of, the same each time; in ``make test-all`` a few hundred."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ferryman.catalog.flip import Encapsulation, flip

SITES = ("codfw", "eqiad", "esams", "no", "01")
ODD = settings(derandomize=True, deadline=None, database=None)

names = st.lists(st.sampled_from(SITES), unique=True, min_size=1, max_size=4)
quotes = st.sampled_from(["", "'", '"'])
notes = st.sampled_from(["", "", "", "  # note", " #note, [with] {all}: 'of' it", "   "])


def name(site: str, quote: str) -> str:
    plain = quote == "" and yaml.safe_load(site) == site
    return site if plain else f"{quote or chr(39)}{site}{quote or chr(39)}"


def behind_colon(value: str) -> str:
    """A value with a space before it, unless it begins with a line break or a comment."""
    return value if value.lstrip(" ")[:1] in ("#", "\n") else f" {value}"


@st.composite
def flow_lists(draw: st.DrawFn, items: list[str]) -> str:
    quote = draw(quotes)
    listed = [name(item, quote) for item in items]
    comma = draw(st.sampled_from(["", ","]))
    pad, between = draw(st.sampled_from(["", " ", "  "])), draw(st.sampled_from([", ", ",", " , "]))
    return f"[{pad}{between.join(listed)}{comma}{pad}]"


@st.composite
def block_lists(draw: st.DrawFn, items: list[str], indent: str) -> str:
    """What follows the colon of a key that stands at ``indent``."""
    head = indent + " " * draw(st.integers(0, 3)) + "-" + " " * draw(st.integers(1, 3))
    quote = draw(quotes)
    lines = [head + name(item, quote) + draw(notes) for item in items]
    if draw(st.booleans()):
        lines.insert(
            draw(st.integers(0, len(lines))), draw(st.sampled_from(["", f"{indent}# between", "# far left"]))
        )
    return draw(notes) + "\n" + "\n".join(lines)


@dataclass(frozen=True)
class Drawn:
    text: str
    flagged: list[str] | None
    """The flag's sites, None when it is absent."""
    last_is_bare: bool
    """Whether the flag's list is one whose last item could be written again as it is."""


Keys = st.SearchStrategy[dict[str, str | None]]
"""Keys of an lvs section as they are to be written; None takes one out."""
AS_IT_IS: Keys = st.just({})


@st.composite
def entries(draw: st.DrawFn, service: str, keys: Keys = AS_IT_IS) -> Drawn:
    step = draw(st.integers(1, 4))
    outer, inner = " " * (2 + step), " " * (2 + step + draw(st.integers(1, 4)))
    flagged = draw(st.none() | names)
    key_quote = draw(quotes)
    flow = draw(st.booleans())
    values = {"enabled": "true", "class": "low-traffic", "scheduler": draw(st.sampled_from(["wrr", "'mh'"]))}
    if not flow and draw(st.booleans()):
        values["monitors"] = f"\n{inner}  ProxyFetch:\n{inner}    url:\n{inner}    - http://x/"
    if not flow and draw(st.booleans()):
        values["note"] = (
            draw(st.sampled_from([">", "|", "|+", "|-"])) + f"\n{inner}  ipip_encapsulation: [codfw]\n"
        )
    bare = False
    if flagged is not None:
        listed = draw(flow_lists(flagged) if flow or draw(st.booleans()) else block_lists(flagged, inner))
        values["ipip_encapsulation"] = listed
        bare = "#" not in listed
    values = {key: value for key, value in {**values, **draw(keys)}.items() if value is not None}
    order = draw(st.permutations(sorted(values)))
    pairs = [(key_quote + key + key_quote, values[key]) for key in order]
    lvs = draw(flow_mappings(pairs)) if flow else draw(block_mappings(pairs, inner))
    sites = draw(flow_lists(list(SITES)) | block_lists(list(SITES), outer))
    halves = [f"{outer}lvs:{lvs}", f"{outer}sites:{behind_colon(sites)}"]
    body = "\n".join(draw(st.permutations(halves)))
    return Drawn(f"  {service}:{draw(notes)}\n{body}\n", flagged, bare)


@st.composite
def block_mappings(draw: st.DrawFn, pairs: list[tuple[str, str]], inner: str) -> str:
    lines = [draw(notes)]
    for key, value in pairs:
        lines.append(f"{inner}{key}:{behind_colon(value)}{draw(notes) if value.isalpha() else ''}")
        if draw(st.integers(0, 4)) == 0:
            lines.append(draw(st.sampled_from(["", f"{inner}# about {key}"])))
    return "\n".join(lines)


@st.composite
def flow_mappings(draw: st.DrawFn, pairs: list[tuple[str, str]]) -> str:
    comma = draw(st.sampled_from(["", ","]))
    written = [f"{key}: {value}" for key, value in pairs]
    return " {" + ", ".join(written) + comma + "}"


@st.composite
def catalogs(draw: st.DrawFn, keys: Keys = AS_IT_IS) -> Drawn:
    before, web, after = draw(entries("api")), draw(entries("web", keys)), draw(entries("zoo"))
    text = "# head\nservice::catalog:\n" + before.text + web.text + "\n" + after.text
    if draw(st.booleans()):
        text = text.rstrip("\n")
    text = draw(st.sampled_from(["", "\ufeff"])) + text
    return Drawn(text, web.flagged, web.last_is_bare)


def data_of(text: str) -> Any:  # noqa: ANN401  # what YAML says
    return yaml.load(text.encode(), yaml.CSafeLoader)["service::catalog"]


def comments_of(text: str) -> list[str]:
    return sorted(re.findall(r"#.*", text))


def flipped(text: str, to: Encapsulation, site: str) -> str:
    return flip(text.encode(), "web", site, to).decode()


def with_site(now: list[str], site: str) -> list[str]:
    """In the order that every service has its sites in, where the list keeps it."""
    return sorted([*now, site], key=SITES.index) if now == sorted(now, key=SITES.index) else [*now, site]


def without_flag(data: Any) -> Any:  # noqa: ANN401  # what YAML says
    data = copy.deepcopy(data)
    flag = data["web"]["lvs"].pop("ipip_encapsulation", None) or []
    # As text, so that the order of keys counts.
    return repr(data), flag


@ODD
@given(catalogs(), st.sampled_from(SITES))
def test_a_flip_changes_the_flag_and_nothing_else(drawn: Drawn, site: str) -> None:
    before, now = without_flag(data_of(drawn.text))
    to: Encapsulation = "direct" if site in now else "ipip"
    event(f"{to}, {'absent' if drawn.flagged is None else 'there'}")
    text = flipped(drawn.text, to, site)
    after, sites = without_flag(data_of(text))
    assert after == before
    assert sites == (with_site(now, site) if to == "ipip" else [name for name in now if name != site])
    if to == "ipip":
        assert comments_of(text) == comments_of(drawn.text)
    assert text.endswith("\n") == drawn.text.endswith("\n")
    # What stays, stays in its order: the shorter text is the longer one with some characters left out.
    long, short = (text, drawn.text) if to == "ipip" else (drawn.text, text)
    emptied = [short[: found.start()] + short[found.end() :] for found in re.finditer(r" ?\[\]", short)]
    assert any(is_inside(candidate, long) for candidate in (short, *emptied))


def is_inside(short: str, long: str) -> bool:
    rest = iter(long)
    return all(letter in rest for letter in short)


@ODD
@given(catalogs(), st.sampled_from(SITES))
def test_there_and_back_restores_every_byte_when_a_site_was_added(drawn: Drawn, site: str) -> None:
    if site in (drawn.flagged or []):
        return
    assert flipped(flipped(drawn.text, "ipip", site), "direct", site) == drawn.text


@ODD
@given(catalogs())
def test_back_and_there_restores_every_byte_when_the_last_of_many_was_taken(drawn: Drawn) -> None:
    if drawn.flagged is None or len(drawn.flagged) < 3 or not drawn.last_is_bare:
        return
    *others, site = drawn.flagged
    if with_site(others, site) != drawn.flagged:
        return
    out = flipped(drawn.text, "direct", site)
    back = flipped(out, "ipip", site)
    assert data_of(back) == data_of(drawn.text)
    if yaml.safe_load(site) == site and all(yaml.safe_load(name) == name for name in drawn.flagged):
        assert back == drawn.text
