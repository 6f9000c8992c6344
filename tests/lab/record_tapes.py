"""Records the tapes of ``tests/tapes``: ``PYTHONPATH=lib:tests python -m lab.record_tapes [NAME…]``.

Each is one run in the lab, as the table says, and is put back afterwards; the lab is one of its own.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ferryman import lab as the_lab
from ferryman.retry import poll_until
from lab.conftest import provision
from lab.migration import SETTLED_S, is_whole, killed_at, pause_and_act, run_and_act, world
from lab.quick import configure
from lab.running import REPOSITORY, RunningLab
from lab.silence import silenced
from lab.test_git_catalog import TABLE, Review, git

if TYPE_CHECKING:
    from collections.abc import Callable

TAPES = REPOSITORY / "tests" / "tapes"
SOAK_OF_LVS2 = "nothing wrong for a while with lvs2 changed"


def migrate(service: str, *more: str) -> tuple[str, ...]:
    """The command's words."""
    return ("migrate", service, "--site", "lab", "--yes", *more)


def plain(*words: str) -> Callable[[RunningLab], None]:
    """A run without anything else."""

    def record(lab: RunningLab) -> None:
        lab.ferryman(*words)

    return record


def with_fault(fault: str, host: str, *words: str) -> Callable[[RunningLab], None]:
    """A run with a fault in the lab."""

    def record(lab: RunningLab) -> None:
        lab.put(fault, host)
        lab.ferryman(*words)

    return record


def rolled_back(lab: RunningLab) -> None:
    """A realserver stops unwrapping once the secondary director tunnels."""
    pause_and_act(lab, SOAK_OF_LVS2, lambda: lab.put("ipip0-down", "web2"), *migrate("static", "--soak", "4"))


def interrupted(lab: RunningLab) -> None:
    """The run gets SIGTERM in the soak."""
    run_and_act(
        lab,
        SOAK_OF_LVS2,
        lambda run: run.send_signal(signal.SIGTERM),
        *migrate("maps", "--soak", "4"),
        phase="check",
    )


def silent_director(lab: RunningLab) -> None:
    """The primary director goes silent before it is asked."""
    with silenced(lab, "lvs1") as silence:
        run_and_act(lab, "set up to unwrap IPIP", lambda _: silence(), *migrate("static"), phase="check")


def held_and_back(lab: RunningLab) -> None:
    """It answers again, and the run is put back by another process."""
    with silenced(lab, "lvs1") as silence:
        run = run_and_act(lab, SOAK_OF_LVS2, lambda _: silence(), *migrate("static"), phase="check").run
    lab.ferryman("rollback", run)


def stranded(lab: RunningLab) -> None:
    """The director that was changed goes silent, and the rollback begins all the same."""
    with silenced(lab, "lvs2") as silence:
        run_and_act(
            lab,
            SOAK_OF_LVS2,
            lambda _: silence(),
            *migrate("static", "--soak", "4", "--on-doubt", "rollback"),
            phase="check",
        )


def killed(lab: RunningLab) -> None:
    """The process is killed with -9 when it is about to change the primary director, and resumed."""
    run = killed_at(lab, "lvs1, primary", *migrate("static"))
    lab.ferryman("resume", run)


def killed_and_back(lab: RunningLab) -> None:
    """As ``killed``, but of a keepalived, and put back."""
    run = killed_at(lab, "lvs2, secondary", *migrate("maps"))
    lab.ferryman("rollback", run)


def done_and_back(lab: RunningLab) -> None:
    """A run that is done is put back."""
    run_and_act(lab, "", lambda _: None, *migrate("maps"))
    lab.ferryman("rollback", newest_run(lab))


def already_done(lab: RunningLab) -> None:
    """A service that is migrated already."""
    lab.ferryman(*migrate("static"))
    lab.ferryman(*migrate("static"))


def edited_meanwhile(lab: RunningLab) -> None:
    """Somebody edits another entry of the catalog before the run writes it."""
    file = lab.folder / "inventory" / "services.yaml"

    def edit() -> None:
        file.write_text(file.read_text().replace("max-delay: 300", "max-delay: 299", 1))

    # The check behind the catalog's own: that one has surely read it by then.
    pause_and_act(lab, "lvs2, secondary, forwards static", edit, *migrate("static"), phase="check")


def lying_director(lab: RunningLab) -> None:
    """Somebody puts the secondary director back by hand while the run soaks."""
    edits = "\n".join(f"ipvsadm -e -t 10.99.0.3:8081 -r 10.10.0.{last}:8081 -g -w 1" for last in (21, 22, 23))
    pause_and_act(lab, SOAK_OF_LVS2, lambda: lab.console("lvs2", edits), *migrate("static", "--soak", "4"))


def busy(lab: RunningLab) -> None:
    """Another run was killed and holds the service."""
    run = killed_at(lab, "The catalog says IPIP", *migrate("static"))
    for tape in tapes(lab):
        tape.unlink()
    lab.ferryman(*migrate("static"))
    keep_from = set(tapes(lab))
    lab.ferryman("rollback", run)
    for tape in set(tapes(lab)) - keep_from:
        tape.unlink()


def merged_by_hand(lab: RunningLab) -> None:
    """The catalog is in git, and a person merges the proposal."""
    with TemporaryDirectory() as folder:
        review = _review(lab, Path(folder))
        review.migrate(review.merge)


def _review(lab: RunningLab, folder: Path) -> Review:
    inventory, bare, reviewer = lab.folder / "inventory", folder / "catalog.git", folder / "reviewer"
    git(inventory, "init", "--quiet", "--initial-branch", "production")
    git(inventory, "config", "user.name", "Otto")
    git(inventory, "config", "user.email", "otto@example.org")
    git(inventory, "add", ".")
    git(inventory, "commit", "--quiet", "-m", "as it is")
    git(folder, "clone", "--quiet", "--bare", str(inventory), str(bare))
    git(inventory, "remote", "add", "origin", str(bare))
    git(folder, "clone", "--quiet", str(bare), str(reviewer))
    config = lab.folder / "ferryman.toml"
    config.write_text(config.read_text() + TABLE)
    return Review(lab, bare, reviewer)


def newest_run(lab: RunningLab) -> str:
    """The id of the run of the newest tape."""
    return tapes(lab)[-1].name.removesuffix(".tape")


def tapes(lab: RunningLab) -> list[Path]:
    """The lab's tapes, oldest first."""
    found = (lab.folder / ".ferryman" / "tapes").glob("*.tape")
    return sorted(found, key=lambda path: (path.name.split(".")[0], len(path.name), path.name))


RECIPES: dict[str, Callable[[RunningLab], None]] = {
    "done-ipvsadm": plain(*migrate("static")),
    "done-keepalived": plain(*migrate("maps")),
    "done-dual-stack": plain(*migrate("web")),
    "done-kubernetes": plain(*migrate("k8s-ingress-staging")),
    "scheduler": plain("scheduler", "migrate", "static", "--site", "lab", "--to", "mh", "--yes"),
    "dry-run-ipvsadm": plain("migrate", "static", "--site", "lab", "--dry-run"),
    "dry-run-dual-stack": plain("migrate", "web", "--site", "lab", "--dry-run"),
    "check": plain("check", "web", "--site", "lab"),
    "check-warns": with_fault("forwards-strangers", "web1", "check", "static", "--site", "lab"),
    "refused-rp-filter": with_fault("rp-filter-strict", "web2", *migrate("static")),
    "refused-rp-filter-persisted": with_fault("rp-filter-persisted-strict", "web3", *migrate("maps")),
    "refused-tunnel-device": with_fault("ipip0-down", "web1", *migrate("static")),
    "refused-firewall": with_fault("firewall-proto4", "web2", *migrate("maps")),
    "refused-vip": with_fault("vip-missing", "web3", *migrate("static")),
    "refused-listener": with_fault("listener-closed", "web1", *migrate("web")),
    "refused-pod-mtu": with_fault("pod-mtu-1500", "node1", *migrate("k8s-ingress-staging")),
    "refused-clamp": with_fault("clamp-missing", "web2", *migrate("static")),
    "refused-unreachable": with_fault("sshd-down", "web2", *migrate("static")),
    "refused-director-differs": with_fault("ipvs-missing", "lvs2", *migrate("static")),
    "rolled-back": rolled_back,
    "interrupted": interrupted,
    "refused-silent-director": silent_director,
    "held-and-back": held_and_back,
    "stranded": stranded,
    "killed": killed,
    "killed-and-back": killed_and_back,
    "done-and-back": done_and_back,
    "already-done": already_done,
    "edited-meanwhile": edited_meanwhile,
    "lying-director": lying_director,
    "busy": busy,
    "git-merged": merged_by_hand,
}
"""By the tape's name: the run. Where several processes take part, each has its tape."""


def record(lab: RunningLab, name: str, to: Path) -> list[Path]:
    """Play one, copy its tapes, and put the lab back."""
    provision(lab.folder)
    configure(lab.folder, {"watch": {"every": 2, "soak": 1}})
    before = poll_until(lambda: world(lab), is_whole, within_s=SETTLED_S * 4)
    RECIPES[name](lab)
    found = tapes(lab)
    kept = [
        to / (f"{name}.tape" if not number else f"{name}-{number + 1}.tape") for number in range(len(found))
    ]
    for tape, target in zip(found, kept, strict=True):
        shutil.copyfile(tape, target)
    lab.clear()
    for tape in reversed(found):
        lab.ferryman("rollback", ".".join(tape.name.split(".")[:1]))
    provision(lab.folder)
    if poll_until(lambda: world(lab), lambda now: now == before, within_s=SETTLED_S) != before:
        the_lab.down(lab.place)
        the_lab.up(lab.place)
    return kept


def main(names: list[str]) -> None:
    """Record those that are named, or all."""
    TAPES.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="ferryman-tapes-") as folder:
        lab = RunningLab(Path(folder) / "lab")
        provision(lab.folder)
        the_lab.up(lab.place)
        try:
            for name in names or RECIPES:
                try:
                    kept = record(lab, name, TAPES)
                except AssertionError as error:
                    print(name, error, lab.ferryman("runs").stdout, flush=True)  # noqa: T201  # a script
                    continue
                print(name, *(path.name for path in kept), flush=True)  # noqa: T201  # a script
        finally:
            the_lab.down(lab.place)


if __name__ == "__main__":
    main(sys.argv[1:])
