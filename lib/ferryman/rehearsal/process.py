"""One process of the real command, which stands still at each of its events until it may go on.

It writes each event as a line and then waits for a byte (``FERRYMAN_ACKNOWLEDGE``). So what strikes at an
event strikes there and nowhere else, however slow the machine is: nothing of the run has gone on meanwhile.
Only what is to happen after so many seconds has no such event: the process is stopped by a signal for it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ferryman.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

ACKNOWLEDGE = "FERRYMAN_ACKNOWLEDGE"
"""The name is the reader's too (``console/json_lines.py``), which a lower floor does not import."""
END_S = 600.0
"""Seconds that one command may take; waits for locks of dead processes are among them."""
_HEEDING = ("env", "--default-signal=INT,TERM,HUP")
"""A job in the background of a script, or under nohup, ignores some signals, and so would the run."""
_CHUNK = 65_536
_LAST_WORDS = 12


@dataclass(slots=True)
class Process:
    """A command of ferryman that is under way."""

    words: Sequence[str]
    """Behind ``ferryman``, for people."""
    popen: subprocess.Popen[bytes]
    stderr: Path
    events: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    _acknowledge: int = -1
    _rest: bytes = b""
    _noise: list[str] = field(default_factory=list)

    @classmethod
    def start(
        cls, words: Sequence[str], config: Path, stderr: Path, *, control: str, environment: Mapping[str, str]
    ) -> Self:
        """Start the command on a control host; one that is not the first has a name and a boot of its own."""
        command = [sys.executable, "-m", "ferryman", "--config", str(config), "--output", "json", *words]
        reading, writing = os.pipe()
        try:
            with stderr.open("wb") as errors:
                popen = subprocess.Popen(
                    [*_HEEDING, *elsewhere(control, config.parent), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env={**os.environ, **environment, ACKNOWLEDGE: str(reading)},
                    pass_fds=[reading],
                    start_new_session=True,
                )
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        return cls(words, popen, stderr, _acknowledge=writing)

    @property
    def run(self) -> str | None:
        """The id of its run, once it has told it."""
        return next((str(event["run"]) for event in self.events if "run" in event), None)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.popen.poll() is not None

    def follow(
        self,
        at_event: Callable[[Mapping[str, Any]], None],
        deadlines: Sequence[tuple[float, Callable[[], None]]],
        is_stopped: Callable[[], bool],
    ) -> int:
        """Let it run to its end: its exit code, negative for a signal.

        Args:
            at_event: Called with each event while the process stands still there.
            deadlines: What is called so many seconds after the start, while the process is stopped.
            is_stopped: Whether to give up: then it is killed.

        Raises:
            LabError: It did not end in time, and was killed.
        """
        waiting = sorted(deadlines, key=lambda deadline: deadline[0])
        try:
            while True:
                age = time.monotonic() - self.began
                if age > END_S:
                    raise LabError(
                        f"ferryman {' '.join(self.words)}: no end after {END_S:g} s; it was killed"
                    )
                if is_stopped():
                    raise KeyboardInterrupt
                while waiting and waiting[0][0] <= age:
                    self._stopped(waiting.pop(0)[1])
                line = self._line(min(0.5, max(0.0, waiting[0][0] - age)) if waiting else 0.5)
                if line is None:
                    continue
                if not line:
                    break
                self._take(line, at_event)
            return self.popen.wait(END_S)
        finally:
            self.close()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def close(self) -> None:
        """End it if it still runs, and close what is open."""
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        if self._acknowledge >= 0:
            os.close(self._acknowledge)
            self._acknowledge = -1
        if self.popen.stdout is not None:
            self.popen.stdout.close()

    def last_words(self) -> str:
        """The end of what it said to people, and what of its output was no event."""
        said = self.stderr.read_text(errors="replace").splitlines()
        return "\n".join([*said[-_LAST_WORDS:], *self._noise[-_LAST_WORDS:]])

    def _take(self, line: bytes, at_event: Callable[[Mapping[str, Any]], None]) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "event" not in event:
            self._noise.append(line.decode(errors="replace").rstrip())
            return
        self.events.append(event)
        at_event(event)
        with suppress(BrokenPipeError):  # it was killed at this event
            os.write(self._acknowledge, b".")

    def _line(self, within_s: float) -> bytes | None:
        """The next line, empty at the end of the output; None when there is none yet."""
        assert self.popen.stdout is not None, "it has a pipe"
        descriptor = self.popen.stdout.fileno()
        while b"\n" not in self._rest:
            if not select.select([descriptor], [], [], within_s)[0]:
                return None
            if not (chunk := os.read(descriptor, _CHUNK)):
                rest, self._rest = self._rest, b""
                return rest
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line + b"\n"

    def _stopped(self, act: Callable[[], None]) -> None:
        if self.is_over:
            act()
            return
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        try:
            act()
        finally:
            self.signal(signal.SIGCONT)


def elsewhere(control: str, folder: Path) -> list[str]:
    """What to put before a command so that it runs on this control host.

    What tells one machine from another is its name and its boot: each gets its own, in namespaces of the
    process.
    """
    if not control:
        return []
    boot = folder / f"{control}.boot"
    boot.write_text(f"{control}\n")
    script = f'hostname {control}; mount --bind {boot} /proc/sys/kernel/random/boot_id; exec "$@"'
    return ["unshare", "--uts", "--mount", "sh", "-ec", script, "sh"]
