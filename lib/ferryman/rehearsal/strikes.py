"""What strikes, done to the lab, to the catalog, or to the run's process; each tells what it did."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

from ferryman import lab
from ferryman.errors import LabError
from ferryman.lab import faults
from ferryman.rehearsal.judging import words_of
from ferryman.rehearsal.moments import waiting_for
from ferryman.rehearsal.process import END_S, elsewhere
from ferryman.rehearsal.review import describe
from ferryman.rehearsal.schema import (
    ClearFault,
    EditCatalog,
    Kill,
    Meanwhile,
    Merge,
    PutFault,
    RestoreCatalog,
    RunOnHost,
    Signal,
    Strike,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.rehearsal.judging import Known
    from ferryman.rehearsal.process import Process
    from ferryman.rehearsal.review import Review
    from ferryman.rehearsal.stage import Stage


@dataclass(slots=True)
class Striker:
    """Strikes in one scenario."""

    stage: Stage
    known: Known
    old_catalog: bytes
    """The catalog as it was before the run."""
    review: Review | None = None
    service: str | None = None
    apart: bool = False
    """Whether the control hosts are told apart: there is more than one."""
    process: Process | None = None
    """The run's process, while there is one."""
    event: Mapping[str, Any] | None = None
    """The event that it stands at."""

    @singledispatchmethod
    def strike(self, strike: Strike) -> str:
        """Do it; returns what was done, in words.

        Raises:
            LabError: It could not be done, or it came too late.
        """
        raise NotImplementedError(type(strike).__name__)

    @strike.register
    def _(self, strike: PutFault) -> str:
        return f"{faults.put(self.stage.paths, strike.put, strike.on)} is in"

    @strike.register
    def _(self, strike: ClearFault) -> str:
        cleared = faults.clear(self.stage.paths, strike.clear, strike.on)
        if not cleared:
            raise LabError(f"{strike.clear} is not in on {strike.on or 'any host'}, so it cannot be cleared")
        return f"{', '.join(map(str, cleared))} is out again"

    @strike.register
    def _(self, strike: Kill) -> str:
        del strike
        self._living("killed").signal(signal.SIGKILL)
        return "the run's process was killed with SIGKILL"

    @strike.register
    def _(self, strike: Signal) -> str:
        self._living("sent a signal").signal(signal.Signals[f"SIG{strike.send}"])
        return f"the run's process was sent SIG{strike.send}"

    @strike.register
    def _(self, strike: EditCatalog) -> str:
        describe(self.stage.catalog, strike.entry)
        return f"an editor changed {strike.entry} in services.yaml"

    @strike.register
    def _(self, strike: RestoreCatalog) -> str:
        del strike
        copy = self.stage.catalog.with_suffix(".copy")
        copy.write_bytes(self.old_catalog)
        copy.replace(self.stage.catalog)
        return "the copy of services.yaml from before the run was moved over it"

    @strike.register
    def _(self, strike: RunOnHost) -> str:
        lab.console(self.stage.paths, strike.run.on, strike.run.command)
        return f"somebody ran on {strike.run.on}: {' '.join(strike.run.command.split())}"

    @strike.register
    def _(self, strike: Merge) -> str:
        branch = waiting_for(self.event or {})
        if self.review is None or branch is None:
            raise LabError("there is no branch to merge")
        return self.review.merge(branch, differently=(self.service or "") if strike.differently else "")

    @strike.register
    def _(self, strike: Meanwhile) -> str:
        words = words_of(strike.meanwhile, self.known)
        control = strike.on if self.apart else ""
        command = [sys.executable, "-m", "ferryman", "--config", str(self.stage.config), *words]
        done = subprocess.run(
            [*elsewhere(control, self.stage.folder), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=END_S,
        )
        if done.returncode != strike.exit:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
            raise LabError(
                f"{strike.meanwhile}: ended with exit code {done.returncode}, expected {strike.exit}:\n{said}"
            )
        return f"{strike.meanwhile} on {strike.on} ended with exit code {done.returncode}"

    def _living(self, done: str) -> Process:
        """The run's process.

        Raises:
            LabError: There is none any more.
        """
        if self.process is None or self.process.is_over:
            raise LabError(f"too late: the run's process was over before it could be {done}")
        return self.process
