"""What a restart of PyBal loses, with and without the wait between stop and start.

A load of short requests and long transfers goes through the primary director. The router takes its time to
act on a withdrawal, or has nobody else to send to.

    PYTHONPATH=lib:tests .venv/bin/python -m bench.pybal_restart FOLDER

It uses the lab of a configuration folder, which must be up, and makes the folder's inventory anew.

The router is the double's: two commands that change its route, some time later. Both directors hash (``mh``,
``mh-port``) and take connections that they have not seen begin (``sloppy_tcp``), as Wikimedia's do.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

from ferryman.directors.pybal.driver import PybalDriver
from ferryman.hosts.fake import FakeHosts
from ferryman.hosts.framing import positional
from ferryman.hosts.verbs.daemons import PybalDrain
from ferryman.inventory import Inventory
from lab.conftest import provision
from lab.migration import loaded
from lab.pybal_site import PybalSite
from lab.running import RunningLab

ROUNDS = 2
PAUSE_S = 2.0
ROUTE = "ip -n rt route replace 10.99.0.0/24 via"
ROUTERS = {
    "a router that acts at once": {"double-router-delay": "0.2"},
    "a router that takes 4 s": {"double-router-delay": "4"},
    "no router that listens": None,
}


def measure(site: PybalSite, script: str) -> tuple[Counter[str], Counter[str], float]:
    """Requests done and lost by kind over all rounds, and the slowest short one, in seconds."""
    done: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    slowest = 0.0
    for _ in range(ROUNDS):
        with loaded(site.lab, "10.99.0.2", 8080) as outcome:
            time.sleep(PAUSE_S)
            site.lab.console("lvs1", script, timeout_s=120)
            time.sleep(PAUSE_S)
            site.wait_until_up()
            time.sleep(PAUSE_S)
        done += Counter(outcome[0].done)
        lost += Counter({kind.partition(":")[0]: count for kind, count in outcome[0].lost.items()})
        slowest = max(slowest, outcome[0].slowest_s)
    return done, lost, slowest


def main() -> None:
    lab = RunningLab(Path(sys.argv[1]))
    for name, router in ROUTERS.items():
        for drain in (0, 10):
            provision(lab.folder)
            site = PybalSite(lab)
            if router:
                announce = {
                    "double-announce": f"{ROUTE} 10.10.0.11",
                    "double-withdraw": f"{ROUTE} 10.10.0.12",
                }
                site.settings = {"lvs1": router | announce | {"double-start-delay": "1"}}
            site.provision(drain=drain)
            for host in ("lvs1", "lvs2"):
                lab.console(host, "echo 1 >/proc/sys/net/ipv4/vs/sloppy_tcp")
            service = Inventory.load(lab.folder / "inventory").service("maps", "lab")
            primary = next(director for director in service.directors if director.host == "lvs1")
            driver = PybalDriver(primary, service, FakeHosts())
            verb = PybalDrain(driver.stop, driver.start, driver.drain_s)
            drained = f"{positional(verb)}\n{verb.script}"
            done, lost, slowest = measure(site, drained if drain else driver.restart)
            how = f"stop, {drain} s at most, start" if drain else "restart"
            figures = json.dumps({"done": dict(done), "lost": dict(lost)})
            print(f"{name}: {how}: {figures}, slowest {slowest:.2f} s", flush=True)
            site.clear()


if __name__ == "__main__":
    main()
