"""What a kernel setting will be after the next boot, and who says so: whoever sets it last decides."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ferryman.realservers.checks.decapsulation import key
from ferryman.realservers.facts import ALL, DEFAULT, Unknown
from ferryman.realservers.facts.boot import Boot, Deed
from ferryman.realservers.facts.boot.everything import everything
from ferryman.realservers.facts.kernel_number import kernel_number
from ferryman.realservers.facts.sysctl_d import Line, SysctlFiles, normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ferryman.realservers.facts import Facts
    from ferryman.realservers.facts.boot import Action

CMDLINE = re.compile(r"(?:^|\s)sysctl[./](?P<key>\S+?)=(?P<value>\S+)")


@dataclass(frozen=True, slots=True)
class FutureValue:
    """A value that a setting will have, and what sets it."""

    value: int
    by: str
    """What sets it, in words: a line of a file, a default, what it is inherited from."""
    line: Line | None = None
    """The line of sysctl.d that sets it, where one does."""
    action: Action | None = None
    """What else sets it."""


@dataclass(frozen=True)
class Future:
    """The settings of a host after its next boot."""

    files: SysctlFiles
    boot: Boot | None = None
    actions: tuple[Action, ...] = ()

    @classmethod
    def of(cls, facts: Facts, *, conditional: bool) -> Future:
        """Of a host whose files are known; ``conditional``: with what scripts do only on a condition."""
        files = SysctlFiles() if isinstance(facts.persisted, Unknown) else facts.persisted
        boot = facts.boot if isinstance(facts.boot, Boot) else None
        done = () if boot is None else everything(boot)
        settings = (
            action for action in done if action.deed in (Deed.SET, Deed.APPLY) and not action.inactive
        )
        return cls(files, boot, tuple(action for action in settings if conditional or not action.conditional))

    def value(self, device: str) -> FutureValue:
        """A device's rp_filter.

        Sources: sysctl.d(5); fs/proc/proc_sysctl.c, by which the kernel's command line comes before init;
        devinet.c, which gives a new device the values of ``default``. Without systemd's rules for new
        devices a line for a device that is not there yet sets nothing.
        """
        path = normal(key(device))
        found = next(reversed([*self._set(path, device)]), None)
        if found is not None:
            return found
        refused = self.files.refused(path)
        aside = f"; the kernel refuses {refused}" if refused is not None else ""
        if device in (ALL, DEFAULT):
            return FutureValue(0, f"the kernel's own default{aside}")
        inherited = self.value(DEFAULT)
        return replace(inherited, by=f"inherited from default, {inherited.by}{aside}")

    def _set(self, path: str, device: str) -> Iterator[FutureValue]:
        """What sets a key, in order."""
        if device in (ALL, DEFAULT):
            yield from self._by_command_line(path)
        at_once = self.files.systemd or self.boot is None or device in (ALL, DEFAULT)
        if at_once and (line := self.files.effective(path)) is not None:
            yield _of_line(line)
        for action in self.actions:
            if action.deed is Deed.APPLY:
                line = self._part(action.value).effective(path)
                if line is not None:
                    yield _of_line(line)
            elif Line("", 0, action.subject, "").covers(path):
                value = kernel_number(action.value)
                if value is not None:
                    yield FutureValue(value, f"{action.line} ({action.who})", action=action)

    def _by_command_line(self, path: str) -> Iterator[FutureValue]:
        lines = () if self.boot is None else self.boot.lines("/proc/cmdline")
        for line in lines:
            for found in CMDLINE.finditer(line.text):
                value = kernel_number(found["value"])
                if found["key"].replace(".", "/") == path and value is not None:
                    yield FutureValue(value, f"the kernel's command line, {found[0].strip()}")

    def _part(self, beginnings: str) -> SysctlFiles:
        """The files that are applied again; nothing said means all of them, as procps reads them."""
        chosen = tuple(beginnings.split())
        files = {path: text for path, text in self.files.files.items() if path.startswith(chosen or ("/",))}
        return SysctlFiles(files, systemd=False)


def _of_line(line: Line) -> FutureValue:
    return FutureValue(line.number_wanted or 0, str(line), line)
