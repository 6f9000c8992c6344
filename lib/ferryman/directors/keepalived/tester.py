"""Has keepalived's own test judge an edit: before anything is changed, and again right before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferryman.directors.keepalived.complaints import (
    complaints,
    from_json,
    inconclusive,
    new_complaints,
    shown,
    to_json,
)
from ferryman.errors import RefusedError, VerifyError
from ferryman.hosts.verbs.keepalived import BAD_CONFIGURATION, STATUSES
from ferryman.hosts.verbs.keepalived_trial import KeepalivedTrial
from ferryman.model import Finding, Verdict

if TYPE_CHECKING:
    from ferryman.directors.driver import Before
    from ferryman.directors.keepalived.applied import Texts
    from ferryman.directors.target import Target
    from ferryman.hosts.hosts import Hosts
    from ferryman.hosts.verbs.keepalived_trial import Said, TrialReading


@dataclass(frozen=True, slots=True)
class Tester:
    """``keepalived -t`` of one director."""

    hosts: Hosts
    host: str
    config: str

    def plan(self, before: Before, new: Texts, target: Target) -> tuple[dict[str, Any], list[Finding]]:
        """Judge an edit by what is new in what it says; returns what it says now, and a remark on that.

        What it says now, where it says anything, goes into the before: what is made is judged by it too.

        Raises:
            RefusedError: It says more of the edited text, or cannot be asked.
        """
        try:
            trial = self._trial(before, _texts(before), new)
        except VerifyError as problem:
            raise RefusedError(str(problem)) from problem
        where = f"{self.host}: keepalived -t -f {self.config}"
        reasons = [f"{where}, as it is: {line}; correct that first" for line in inconclusive(trial.as_is)]
        reasons = reasons or [
            f"{where}, with {', '.join(new)} edited for {target}: {line}; as it is, it does not say that;"
            " nothing was changed: correct the file so that the edit can be made"
            for line in new_complaints(trial.as_is, trial.edited)
        ]
        if reasons:
            raise RefusedError("\n".join(reasons))
        if not trial.as_is.status and not trial.as_is.lines:
            return {}, []
        return {"test": to_json(trial.as_is)}, [self._remark(trial.as_is)]

    def status_of(self, before: Before, old: Texts, new: Texts) -> int:
        """The status with which it ends for the new texts, saying nothing that it did not say before.

        Where a before has nothing that it said, it said nothing, or was not asked: its status counts then.

        Raises:
            VerifyError: It says more: of these texts, or of what was put beside them since.
        """
        said = self._trial(before, old, new).edited
        if "test" not in before and said.status == 0:
            return 0
        if lines := new_complaints(from_json(before.get("test")), said) or inconclusive(said):
            refused = STATUSES[BAD_CONFIGURATION]
            raise VerifyError(f"{self.host}: {', '.join(new)}: {refused}: {shown(lines)}")
        return said.status

    def question(self, before: Before, old: Texts, new: Texts) -> KeepalivedTrial:
        """What asks the director for its judgement."""
        return KeepalivedTrial(self.config, old, new, before.get("config_id", ""))

    def _trial(self, before: Before, old: Texts, new: Texts) -> TrialReading:
        return self.hosts.read(self.host, self.question(before, old, new))

    def _remark(self, said: Said) -> Finding:
        lines = shown(complaints(said)) or "without a word"
        return Finding(
            "keepalived-test",
            self.host,
            Verdict.WARN,
            f"keepalived -t -f {self.config} ends with {said.status} before anything is edited: {lines}",
            "0, and no complaint; an edit is judged by what it adds to these",
            f"correct the configuration when it suits, and try it: keepalived -t -f {self.config}",
        )


def _texts(before: Before) -> Texts:
    return {path: file["text"] for path, file in before["files"].items()}
