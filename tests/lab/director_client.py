"""A service and one of its directors in the lab, with the real drivers, for tests that stand outside it."""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ferryman.directors import Driver, HostRoutes, driver_for
from ferryman.inventory import Inventory
from ferryman.lab import exec_argv
from lab.running import REPOSITORY
from tools import OneByOne

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferryman.errors import DoubtError, VerifyError
    from ferryman.hosts.verbs import ReadVerb, Verb, WriteVerb
    from ferryman.model import Director, Service
    from lab.running import RunningLab

T = TypeVar("T")
SERVE = """
import base64, pickle, sys
from pathlib import Path
from ferryman.config import SshConfig
from ferryman.hosts.ssh import Fleet
from ferryman.inventory import Inventory
folder, identity, known_hosts = map(Path, sys.argv[1:])
ssh = SshConfig(identity=identity, known_hosts=known_hosts, config=False)
with Fleet(Inventory.load(folder).host_addresses(), ssh) as fleet:
    for line in sys.stdin:
        host, verb = pickle.loads(base64.b64decode(line))
        try:
            answer = (fleet.read if verb.reads else fleet.write)(host, verb)
        except Exception as error:
            answer = error
        print(base64.b64encode(pickle.dumps(answer)).decode(), flush=True)
"""


class LabHosts(OneByOne):
    """The fleet itself, in a process of its own that has entered the lab: this one cannot enter and come
    back."""

    def __init__(self, lab: RunningLab) -> None:
        argv = exec_argv(lab.place, "control", [sys.executable, "-c", SERVE])
        folder, own = str(lab.folder / "inventory"), lab.place
        self._process = subprocess.Popen(
            [*argv, folder, str(own.identity), str(own.known_hosts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib")},
        )

    def close(self) -> None:
        self._process.communicate(timeout=20)

    def read(self, host: str, verb: ReadVerb[T]) -> T:
        return self._ask(host, verb)

    def write(self, host: str, verb: WriteVerb[T]) -> T:
        return self._ask(host, verb)

    def read_all(self, verbs: Mapping[str, ReadVerb[T]]) -> dict[str, T | DoubtError | VerifyError]:
        return {host: self.read(host, verb) for host, verb in verbs.items()}

    def _ask(self, host: str, verb: Verb[T]) -> T:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(base64.b64encode(pickle.dumps((host, verb))).decode() + "\n")
        self._process.stdin.flush()
        answer = pickle.loads(base64.b64decode(self._process.stdout.readline()))
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]  # what the fleet returned


@dataclass
class DirectorClient:
    """The driver and the routes of one service on one of its directors, for tests to call."""

    service: Service
    director: Director
    hosts: LabHosts

    @classmethod
    def of(cls, lab: RunningLab, hosts: LabHosts, name: str, host: str) -> DirectorClient:
        """A service of the lab's inventory on this director."""
        service = Inventory.load(lab.folder / "inventory").service(name, "lab")
        return cls(service, next(director for director in service.directors if director.host == host), hosts)

    @property
    def driver(self) -> Driver:
        return driver_for(self.director, self.service, self.hosts)

    @property
    def routes(self) -> HostRoutes:
        return HostRoutes(self.director, self.service, self.hosts)

    def impatient(self) -> DirectorClient:
        """The same with a director that is waited for no longer than three seconds."""
        options = {**self.director.options, "converge_timeout": 3}
        return replace(self, director=replace(self.director, options=options))


DirectorClients = Callable[..., DirectorClient]
