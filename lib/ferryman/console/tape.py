"""A tape for people: what was run, and under each step what was asked, answered, found and changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ferryman.console.formatting import OUTCOME_STYLES, VERDICT_STYLES
from ferryman.model import Verdict
from ferryman.printable import printable
from ferryman.tape.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ferryman.tape.file import Header, Tape

SHORT = 160
"""Characters of a value that are shown unless everything is."""
_VERDICTS = {verdict.value: style for verdict, style in VERDICT_STYLES.items()}
assert len(_VERDICTS) == len(Verdict)


def shown(tape: Tape, *, whole: bool) -> Iterator[Text]:
    """The lines that people read; ``whole``: no value is shortened. What is on the tape moves no cursor."""
    yield from _header(tape.header, whole=whole)
    if not tape.whole:
        yield Text("cut off: the run was killed, or still goes on; this is what it left", style="bold yellow")
    step: tuple[int | None, str] = (None, "")
    for moment in timeline(tape):
        if moment.step is not None and step != (moment.step, moment.phase):
            step = (moment.step, moment.phase)
            yield Text("")
            yield Text(f"{moment.step + 1:3}. {_line(moment.title)}", style="bold").append(
                f"  {_line(moment.phase)}", style="cyan"
            )
        line = _KINDS[moment.entry.kind](moment.entry.data, _Limit(whole=whole))
        if line is not None:
            yield Text(f"{moment.seconds:10.3f}  ", style="dim").append_text(line)


def _line(text: str) -> str:
    """The text in one line."""
    return printable(text, keep="")


class _Limit:
    """Shortens what is shown, unless everything is to be."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def __call__(self, value: object) -> str:
        """A value as people read it."""
        text = _line(value if isinstance(value, str) else _brief(value))
        if self._whole or len(text) <= SHORT:
            return text
        return f"{text[:SHORT]}… ({len(text)} characters)"


def _header(header: Header, *, whole: bool) -> Iterator[Text]:
    limit = _Limit(whole=whole)
    arguments = " ".join(f"{name}={_brief(value)}" for name, value in header.arguments.items())
    yield (
        Text(f"{limit(header.cookbook)} ", style="bold")
        .append(limit(arguments), style="cyan")
        .append(f"  {header.action}, run {limit(header.run)}, {limit(header.operator)}", style="dim")
    )
    versions = f"ferryman {header.ferryman}, Python {header.python}, cookbook {header.cookbook_digest}"
    yield Text(limit(f"began {header.began}, {versions}"), style="dim")
    options = " ".join(f"{name}={_brief(value)}" for name, value in header.options.items())
    yield Text(limit(f"options {options}"), style="dim")
    yield Text(limit(f"inventory {', '.join(header.inventory) or 'none'}"), style="dim")
    if whole:
        for name, text in header.inventory.items():
            yield Text(f"  {_line(name)}", style="dim")
            yield from (Text(f"    {_line(line)}", style="dim") for line in text.splitlines())
        yield Text(limit(f"config {_brief(header.config)}"), style="dim")
    if header.journal is not None:
        yield Text(limit(f"journal {_brief(header.journal)}"), style="dim")
    yield Text("plan", style="bold")
    for number, step in enumerate(header.plan, start=1):
        about = f"  ({', '.join(step.about)})" if step.about else ""
        yield Text(f"{number:3}. {limit(step.title)}").append(limit(f"  {step.step}{about}"), style="dim")


def _call(data: Mapping[str, Any], limit: _Limit) -> Text:
    text = Text("changes " if data["writes"] else "asks    ", style="yellow" if data["writes"] else "dim")
    text.append(limit(data["host"] or data["port"]), style="bold").append(
        f" {limit(data['verb'])}", style="cyan"
    )
    if data["arguments"]:
        text.append(
            f" {limit(', '.join(f'{key}={_brief(value)}' for key, value in data['arguments'].items()))}"
        )
    if data["lane"] == "watch":
        text.append(" (watch)", style="dim")
    if "error" in data:
        error = data["error"]
        return text.append("\n              ! ", style="red").append(
            limit(f"{error['type']}: {error['message']}")
        )
    return text.append("\n              = ", style="dim").append(limit(data["value"]))


def _event(data: Mapping[str, Any], limit: _Limit) -> Text | None:
    show = _EVENTS.get(data["event"])
    if show is not None:
        return show(data, limit)
    more = {key: value for key, value in data.items() if key != "event"}
    return Text(f"{limit(data['event'])} {limit(more)}")


def _finding(data: Mapping[str, Any], limit: _Limit) -> Text:
    verdict = str(data.get("verdict"))
    text = Text(f"{limit(verdict):<8}", style=_VERDICTS.get(verdict, ""))
    text.append(f"{limit(data.get('host', ''))} ", style="bold").append(
        f"{limit(data.get('check', ''))}: ", "cyan"
    )
    text.append(limit(data.get("seen", "")))
    if verdict in ("pass", "skip"):
        return text
    text.append(f"\n              wanted: {limit(data.get('wanted', ''))}", style="dim")
    return text.append(f"\n              do:     {limit(data['remedy'])}" if data.get("remedy") else "")


def _probe(data: Mapping[str, Any], limit: _Limit) -> Text:
    target = f"{data.get('host')} {data.get('protocol')} {data.get('vip')} {data.get('port')}"
    more = f", {data['detail']}" if data.get("detail") else ""
    return Text(f"probe   {limit(target)}: {limit(data.get('verdict'))}{limit(more)}")


def _change(data: Mapping[str, Any], limit: _Limit) -> Text:
    lead = "changed " if data.get("applied") else "would   "
    text = Text(lead, style="bold yellow").append(f"{limit(data.get('kind', ''))} ", style="cyan")
    text.append(limit(data.get("target", "")), style="bold")
    lines = str(data.get("diff") or data.get("command") or "").splitlines()
    return text.append("".join(f"\n              {limit(line)}" for line in lines))


def _finished(data: Mapping[str, Any], limit: _Limit) -> Text | None:
    outcome = data.get("outcome")
    return None if outcome == "ok" else Text(f"{limit(data.get('phase'))}: {limit(outcome)}", style="bold")


def _wait(data: Mapping[str, Any], _: _Limit) -> Text:
    interrupted = ", interrupted" if data["interrupted"] else ""
    watch = " (watch)" if data["lane"] == "watch" else ""
    return Text(f"waits   {data['seconds']:g} s{interrupted}{watch}", style="dim")


def _time_up(data: Mapping[str, Any], _: _Limit) -> Text:
    return Text("time is up" + (" (watch)" if data["lane"] == "watch" else ""), style="dim")


def _signal(data: Mapping[str, Any], limit: _Limit) -> Text:
    return Text(f"signal  {limit(data['name'])}", style="bold magenta")


def _alarm(data: Mapping[str, Any], limit: _Limit) -> Text:
    error = data["error"]
    return Text(f"stopped {limit(error['type'])}: {limit(error['message'])}", style="bold magenta")


def _packet(data: Mapping[str, Any], _: _Limit) -> Text:
    way = "sent" if data["sent"] else "received"
    return Text(f"packet  {way}, {len(data['hex']) // 2} bytes", style="dim")


def _outcome(data: Mapping[str, Any], limit: _Limit) -> Text:
    text = Text(f" {data['outcome']} ", style=OUTCOME_STYLES[data["outcome"]])
    text.append(f" after {data['seconds']:.1f} s (exit code {data['exit_code']})", style="dim")
    return text.append("".join(f"\n              {limit(line)}" for line in data["reason"].splitlines()))


def _nothing(_: Mapping[str, Any], __: _Limit) -> None:
    """It is shown otherwise."""


_EVENTS: dict[str, Callable[[Mapping[str, Any], _Limit], Text | None]] = {
    "run-started": _nothing,
    "step-started": _nothing,
    "finding": _finding,
    "probe": _probe,
    "change": _change,
    "step-finished": _finished,
    "run-finished": _nothing,
}
_KINDS: dict[str, Callable[[Mapping[str, Any], _Limit], Text | None]] = {
    "call": _call,
    "event": _event,
    "wait": _wait,
    "time-up": _time_up,
    "turn": _nothing,
    "signal": _signal,
    "alarm": _alarm,
    "packet": _packet,
    "outcome": _outcome,
}


def _brief(value: object) -> str:
    """A value of the tape's in few words: objects as calls of their classes, addresses as they are."""
    if isinstance(value, list):
        return f"[{', '.join(_brief(item) for item in value)}]"
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    match value:
        case {"$": name, **fields}:
            return f"{name}({', '.join(f'{key}={_brief(item)}' for key, item in fields.items())})"
        case {"$enum": kind, "name": name}:
            return f"{kind}.{name}"
        case {"$tuple": list(items)} | {"$set": list(items)} | {"$map": list(items)}:
            first, last = "()" if "$tuple" in value else "{}"
            return f"{first}{', '.join(_brief(item) for item in items)}{last}"
    only = next(iter(value.items()), ("", None)) if len(value) == 1 else ("", None)
    inside = ", ".join(f"{key}: {_brief(item)}" for key, item in value.items())
    return str(only[1]) if only[0].startswith("$") else f"{{{inside}}}"
