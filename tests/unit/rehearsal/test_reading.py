"""Scenarios' files: everything that is wrong is told at once, with file, line and key; nothing is begun."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import UsageError
from ferryman.rehearsal.judging import Known, Parsed
from ferryman.rehearsal.reading import Scenario, read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def parse(words: Sequence[str]) -> Parsed:
    """A command line with one cookbook and one command that is none."""
    if words[0] not in ("migrate", "rollback"):
        return Parsed(f"there is no such command {words[0]}")
    if words[0] == "rollback":
        return Parsed()
    return Parsed(arguments={"service": words[1], "site": "lab"}, asks="--yes" not in words)


KNOWN = Known(services=["web", "static"], parse=parse)
SOUND = """\
title: One realserver drops what the tunnel brings.
faults:
  - { put: rp-filter-strict, on: web2, at: start }
run: ferryman migrate static --site lab
expect:
  exit: 3
"""


def written(folder: Path, text: str, name: str = "one") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(textwrap.dedent(text))
    return file


def one(folder: Path, text: str) -> Scenario:
    return read([written(folder, text)], KNOWN)[0]


def complaints(folder: Path, text: str) -> list[str]:
    """What is said of a file, without its path."""
    file = written(folder, text)
    with pytest.raises(UsageError) as told:
        read([file], KNOWN)
    return [line.removeprefix(f"{file}:") for line in str(told.value).splitlines()]


def changed(old: str, new: str) -> str:
    assert old in SOUND
    return SOUND.replace(old, new)


def test_a_sound_scenario_is_read_and_its_run_does_not_ask(tmp_path: Path) -> None:
    scenario = one(tmp_path, SOUND)
    assert scenario.lines[0].words == ("migrate", "static", "--site", "lab", "--yes")
    assert (scenario.service, scenario.site) == ("static", "lab")
    assert scenario.file.expect.exit == [3]
    assert [strike.model_dump(exclude={"at"}) for strike in scenario.strikes] == [
        {"put": "rp-filter-strict", "on": "web2"}
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "rp-filter-strict",
            "rp-filter-strct",
            "3: faults: [0].put: is 'rp-filter-strct', which is no fault of the lab; did you mean",
        ),
        (
            "on: web2",
            "on: web9",
            "3: faults: [0].on: is 'web9', which is no host of the lab; did you mean",
        ),
        (
            "on: web2",
            "on: lvs1",
            "3: faults: [0].on: is 'lvs1', but rp-filter-strict fits web1, web2, web3,",
        ),
        ("at: start", "at: sometimes", "3: faults: [0].at: is 'sometimes', expected a moment: start; before"),
        (", at: start", "", "3: faults: [0].at: is missing, expected a moment"),
        ("put:", "putt:", "3: faults: [0]: has putt, on, at, expected one of put, clear, kill"),
        ("at: start", "at: start, then: resume", "is no key that is known here"),
        ("expect:", "expects:", "expects: is no key that is known here; did you mean expect?"),
        ("exit: 3", "exit: three", "6: expect: exit[0]: is 'three', expected a whole number"),
        ("exit: 3", "exit: 3\n  end: all green", "7: expect: end: is 'all green', expected all old, all new"),
        (
            "exit: 3",
            "exit: 3\n  end: { lvs9: direct }",
            "end.lvs9: is no director of the lab; did you mean lvs",
        ),
        ("exit: 3", "exit: 3\n  lost_requests: 0", "lost_requests: wants a load"),
        ("exit: 3", "exit: [3, 0]", "6: expect: exit: has 2 exit codes, expected one, or one for each of 1"),
        ("ferryman migrate", "ferryman migrat", "there is no such command migrat"),
        ("ferryman migrate", "rm -rf", "expected a command line that begins with ferryman"),
        ("--site lab", "--site 'lab", "cannot be split into words: No closing quotation"),
        ("title:", "topology: { like: moon }\ntitle:", "1: topology: like: is 'moon', expected lab"),
        (
            "title: One realserver drops what the tunnel brings.\n",
            "",
            "title: is missing, expected a sentence",
        ),
        ("  exit: 3", "\texit: 3", "is not YAML"),
        ("expect:", "run: ferryman migrate web --site lab\nexpect:", "run: stands twice, first on line 4"),
        (
            "{ put: rp-filter-strict, on: web2, at: start }",
            "{ kill: run, at: start }",
            "[0].at: is 'start', expected a moment at which the run has a process",
        ),
        (
            "{ put: rp-filter-strict, on: web2, at: start }",
            "{ kill: run, at: during step 3, then: rollback, on: control2 }",
            "[0].on: is 'control2', which wants state: etcd",
        ),
        (
            "{ put: rp-filter-strict, on: web2, at: start }",
            "{ merge: proposal }",
            "[0].merge: wants catalog: git",
        ),
        (
            "{ put: rp-filter-strict, on: web2, at: start }",
            "{ edit: catalog, entry: wbe, at: start }",
            "[0].entry: is 'wbe', which is no service; did you mean web?",
        ),
        (
            "{ put: rp-filter-strict, on: web2, at: start }",
            "{ run: { on: web9, command: 'true' }, at: start }",
            "[0].run.on: is 'web9', which is no host of the lab",
        ),
        (
            "{ put: rp-filter-strict, on: web2, at: start }",
            "{ meanwhile: ferryman fly, exit: 6, at: in soak }",
            "[0].meanwhile: is 'ferryman fly': there is no such command fly",
        ),
        (
            "{ put: rp-filter-strict, on: web2, at: start }",
            "{ put: rp-filter-strict, at: before command 2 }",
            "[0].at: is 'before command 2', expected a command from 2 to 1",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    told = complaints(tmp_path, changed(old, new))
    assert any(said in line for line in told), told
    assert all(line[0].isdigit() for line in told)


def test_everything_that_is_wrong_in_any_file_is_told_at_once(tmp_path: Path) -> None:
    first = written(tmp_path, changed("on: web2", "on: web9").replace("exit: 3", "exit: x"), "first")
    second = written(tmp_path, changed("at: start", "at: never"), "second")
    with pytest.raises(UsageError) as told:
        read([tmp_path], KNOWN)
    lines = str(told.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{first}:3", f"{first}:6", f"{second}:3"]


def test_a_file_that_is_not_there_and_a_folder_without_scenarios_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty: has no scenario(.|\n)*none.yaml: is missing"):
        read([tmp_path / "none.yaml", tmp_path / "empty"], KNOWN)


def test_two_files_of_one_name_are_refused_for_reports_tell_them_apart_by_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    written(tmp_path / "a", SOUND)
    written(tmp_path / "b", SOUND)
    with pytest.raises(UsageError, match="has the name of"):
        read([tmp_path], KNOWN)


def test_a_file_that_is_named_twice_is_played_once(tmp_path: Path) -> None:
    file = written(tmp_path, SOUND)
    assert len(read([file, tmp_path, file], KNOWN)) == 1


def test_several_commands_are_read_and_each_may_have_its_control_host(tmp_path: Path) -> None:
    text = """\
    title: What one began the other takes back.
    state: etcd
    run:
      - ferryman migrate static --site lab --yes
      - { command: ferryman rollback RUN, on: control2 }
    expect: { exit: [0, 0], changes: none, reason: web2 }
    """
    scenario = one(tmp_path, text)
    assert [(line.words[0], line.control) for line in scenario.lines] == [
        ("migrate", "control1"),
        ("rollback", "control2"),
    ]
    assert scenario.lines[0].words.count("--yes") == 1
    assert scenario.file.expect.changes == []
    assert scenario.file.expect.reason == ["web2"]


INLINE = """\
title: Another lab.
topology:
  directors:
    - { name: d1, role: primary }
    - { name: d2, role: secondary }
  realservers: [{ name: r1 }, { name: r2 }]
  services: [{ name: shop, port: 80 }]
faults:
  - { put: rp-filter-strict, on: r2, at: start }
run: ferryman migrate shop --site lab
expect: { exit: 3, end: { d1: direct } }
"""


def test_a_lab_of_ones_own_has_its_own_names(tmp_path: Path) -> None:
    scenario = one(tmp_path, INLINE)
    assert [director.name for director in scenario.topology.directors] == ["d1", "d2"]
    assert (
        "is 'web1', which is no host of the lab"
        in complaints(tmp_path, INLINE.replace("on: r2", "on: web1"))[0]
    )


def test_what_is_wrong_with_a_lab_is_told_with_its_line(tmp_path: Path) -> None:
    wrong = INLINE.replace("role: secondary", "role: third").replace("port: 80", "port: 0")
    told = complaints(tmp_path, wrong)
    assert told[0].startswith("5: topology: directors[1].role: is 'third', expected primary or secondary")
    assert told[1].startswith("7: topology: services[0].port: is 0, expected a port number")


def test_an_inventory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    told = complaints(tmp_path, SOUND + "topology: { inventory: nowhere, site: lab }\n")
    assert told[0].startswith("7: topology")
    assert "nowhere" in told[0]
