"""What became of scenarios, for JUnit XML in CI and as one HTML file for people."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from ferryman.junit import Result as JunitResult
from ferryman.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ferryman.rehearsal.results import Result, Step

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The page runs and fetches nothing, whatever a host has said."""
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2em .8em .2em 0; border-bottom: 1px solid #ddd }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: inherit }
.failed { color: #a40000 } .passed { color: #1b5e20 } .number { text-align: right }
details { margin: .6em 0 } summary { cursor: pointer }
"""


def junit(results: Sequence[Result]) -> list[JunitResult]:
    """The test cases of a JUnit file: one a scenario, whose failure has each step that went otherwise."""
    return [
        JunitResult(
            result.name,
            result.seconds,
            None if result.passed else "\n".join(map(str, result.failures)) or "nothing was played",
            output="\n".join(_line(step) for step in result.steps),
        )
        for result in results
    ]


def page(results: Sequence[Result]) -> str:
    """An HTML page that needs no other file and no network."""
    failed = sum(not result.passed for result in results)
    heading = f"{len(results)} scenarios, {failed} failed" if failed else f"{len(results)} scenarios passed"
    rows = "".join(_row(result) for result in results)
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>Rehearsals: {heading}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>Rehearsals: {heading}</h1>\n"
        "<table><thead><tr><th>scenario</th><th>result</th><th class=number>seconds</th>"
        f"<th class=number>guest MiB</th></tr></thead><tbody>{rows}</tbody></table>\n"
        f"{''.join(map(_section, results))}</body></html>\n"
    )


def _line(step: Step) -> str:
    return f"{step.after_s:6.1f} s  {step}"


def _row(result: Result) -> str:
    word = "passed" if result.passed else "failed"
    peak = f"{result.peak_mib:.0f}" if result.peak_mib is not None else ""
    return (
        f"<tr><td>{_text(result.name)}: {_text(result.title)}</td><td class={word}>{word}</td>"
        f"<td class=number>{result.seconds:.1f}</td><td class=number>{peak}</td></tr>\n"
    )


def _section(result: Result) -> str:
    word = "passed" if result.passed else "failed"
    steps = "".join(
        f"<tr{' class=failed' if step.failed else ''}><td class=number>{step.after_s:.1f} s</td>"
        f"<td><pre>{_text(str(step))}</pre></td></tr>\n"
        for step in result.steps
    )
    events = "".join(
        f"<tr><td>{_text(when)}</td><td><pre>{_text(what)}</pre></td></tr>\n" for when, what in _told(result)
    )
    return (
        f"<details{'' if result.passed else ' open'}>"
        f"<summary class={word}>{_text(result.name)}: {word}</summary>\n"
        f"<table>{steps}</table>\n"
        f"<details><summary>the run's steps and what did not pass</summary><table>{events}</table></details>"
        "</details>\n"
    )


def _told(result: Result) -> Iterator[tuple[str, str]]:
    """The events that people want to read: steps as they begin, what does not pass, changes, the end."""
    for event in result.events:
        time = str(event.get("time", ""))
        match event["event"]:
            case "step-started":
                yield time, f"{int(event['step']) + 1}. {event['title']} ({event['phase']})"
            case "finding" if event["verdict"] in ("warn", "fail", "unknown"):
                yield time, f"{event['verdict']}: {event['check']} on {event['host']}: {event['seen']}"
            case "change":
                how = event.get("command") or event.get("diff")
                yield time, f"change of {event['kind']} {event['target']}: {how}"
            case "run-finished":
                yield time, f"{event['outcome']}: {event['reason']}"


def _text(value: str) -> str:
    return html.escape(printable(value))
