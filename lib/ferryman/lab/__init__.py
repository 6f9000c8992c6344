"""The lab: directors, realservers and a router made on this one machine, with a real kernel's IPIP and IPVS.

    paths = LabPaths.of(folder_of_ferryman_toml)
    up(paths)                   # or topology.from_data(…), topology.from_inventory(…): up(paths, topology=…)
    access = enter(paths)       # this process now runs on the lab's control host
    down(paths)

``docs/lab.md`` has it for people; ``topology/`` says what a lab is made of.
"""

from ferryman.lab.control import LabAccess, console, enter, exec_argv
from ferryman.lab.engines import Engine, EngineChoice
from ferryman.lab.machine import LabStatus, down, last_words, require_free, status, topology_of, up
from ferryman.lab.paths import LabPaths
from ferryman.lab.topology import Topology

__all__ = [
    "Engine",
    "EngineChoice",
    "LabAccess",
    "LabPaths",
    "LabStatus",
    "Topology",
    "console",
    "down",
    "enter",
    "exec_argv",
    "last_words",
    "require_free",
    "status",
    "topology_of",
    "up",
]
