"""A scenario that cannot be played to its end, or in which something never strikes, has not passed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ferryman.errors import LabError
from ferryman.lab.topology import DEFAULT
from ferryman.rehearsal.judging import Known, Parsed
from ferryman.rehearsal.play import play
from ferryman.rehearsal.reading import Line, Scenario
from ferryman.rehearsal.schema import Kill, ScenarioFile


class Stage:
    """A lab that does not come up."""

    name = "lab 1"
    paths: Any = SimpleNamespace()

    def __init__(self) -> None:
        self.abandoned = False

    def ready(self, _topology: object) -> float:
        raise LabError("the lab died while booting")

    def abandon(self) -> None:
        self.abandoned = True


def test_what_never_strikes_is_a_failure_and_so_is_a_lab_that_does_not_come_up(monkeypatch: Any) -> None:  # noqa: ANN401
    monkeypatch.setattr("ferryman.rehearsal.memory.peak_mib", lambda _: None)
    file = ScenarioFile.model_validate({"title": "x", "run": "ferryman check web", "expect": {"exit": 0}})
    kill = Kill.model_validate({"kill": "run", "at": "after step 3"})
    known = Known(services=[], parse=lambda _: Parsed())
    line = Line(("check", "web"), "control1")
    scenario = Scenario("x", Path("x.yaml"), file, DEFAULT, (kill,), (line,), "web", "lab", known)
    told: list[str] = []
    stage: Any = Stage()
    result = play(scenario, stage, lambda _, line: told.append(line), lambda: False)
    assert not result.passed
    assert [str(step).partition(";")[0] for step in result.failures] == [
        "FAILED the scenario is played to its end: expected no error",
        "FAILED kill: run after step 3: expected that moment comes",
    ]
    assert "the lab died while booting" in told[0]
    assert stage.abandoned, "the next scenario gets another lab"
