"""One lab for all lab tests, booted for this session, apart from any lab that its user has up."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from ferryman import lab as the_lab
from ferryman.catalog.file import Catalog
from ferryman.errors import LabError
from ferryman.lab import LabPaths, engines, topology
from ferryman.lab.folders import free_folder
from ferryman.model import Forwarding
from ferryman.retry import poll_until
from ferryman.trust import TRUSTED_FOLDERS
from lab.chosen import is_chosen
from lab.director_client import DirectorClient, DirectorClients, LabHosts
from lab.migration import SETTLED_S, is_whole, world
from lab.quick import FOR_ALL, configure
from lab.running import REPOSITORY, RunningLab
from tools import skip_or_fail

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


FAILED = pytest.StashKey[bool]()
"""Set on a test that failed."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is not chosen as extended, before ``-m`` looks at the marks."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and not is_chosen(
            item.path.relative_to(here).as_posix(), item.name
        ):
            item.add_marker(pytest.mark.extended)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which tests fail: the ``lab`` fixture wants to know."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(scope="session")
def booted() -> Iterator[RunningLab]:
    """Boot the session's lab and take it down at the end; a machine that cannot is told why."""
    with own_folder() as folder:
        running = RunningLab(folder)
        require_lab()
        status = the_lab.up(running.place)
        try:
            yield running
        finally:
            the_lab.down(running.place)
    assert status.up


@pytest.fixture
def lab(booted: RunningLab, request: pytest.FixtureRequest) -> Iterator[RunningLab]:
    """The session's lab: no faults in, its inventory as in the repository, before and after each test.

    What its hosts are shown belongs to the user that runs their kernel, also where an inventory links to it.
    """
    provision(booted.folder)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(TRUSTED_FOLDERS, str(booted.place.share / "shown"))
        yield booted
    try:
        booted.clear()
    except LabError as error:  # a kernel that died or hangs is no matter of the tests after this one
        error.add_note(f"the end of its log:\n{the_lab.last_words(booted.place)}")
        boot_anew(booted)
        raise
    if request.node.stash.get(FAILED, False):  # nor is what a test left that stopped half-way
        boot_anew(booted)


@pytest.fixture
def old_world(lab: RunningLab) -> Iterator[dict[str, str]]:
    """What the lab was like before the test, which puts it back; this says so if it did not.

    A lab that is torn is booted anew, so that the tests after it are judged for what they do.
    """
    before = poll_until(lambda: world(lab), is_whole, within_s=SETTLED_S)
    yield before
    lab.clear()
    # keepalived takes a realserver back when its health check has passed again
    now = poll_until(lambda: world(lab), lambda seen: seen == before, within_s=SETTLED_S)
    if now != before:
        boot_anew(lab)
    assert now == before


@pytest.fixture
def hosts(lab: RunningLab) -> Iterator[LabHosts]:
    """The lab's fleet, for tests that stand outside the lab."""
    found = LabHosts(lab)
    yield found
    found.close()


@pytest.fixture
def director_client(lab: RunningLab, hosts: LabHosts) -> DirectorClients:
    """A client of a service on a director, the primary unless another is named."""

    def made(name: str, host: str = "lvs1") -> DirectorClient:
        return DirectorClient.of(lab, hosts, name, host)

    return made


@pytest.fixture
def spare(request: pytest.FixtureRequest) -> Iterator[LabPaths]:
    """The place of a second lab that is not up, for tests that end it."""
    require_lab()
    with own_folder() as folder:
        place = LabPaths.of(folder)
        yield place
        the_lab.down(place)


@pytest.fixture(scope="session", autouse=True)
def engine_told(request: pytest.FixtureRequest) -> None:
    """Print which engine the lab runs on, whatever is captured."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None:
        terminal.write_line(f"lab engine: {engines.choose('auto')}")


def boot_anew(running: RunningLab) -> None:
    the_lab.down(running.place)
    the_lab.up(running.place)


def require_lab() -> None:
    engine = engines.choose("auto")
    try:
        engines.require_programs(engine)
        engines.require_namespaces(engine)
    except LabError as missing:
        skip_or_fail(str(missing))


@contextmanager
def own_folder() -> Iterator[Path]:
    """A configuration folder that no other session uses, cleared of what a killed one left."""
    with free_folder(REPOSITORY / ".ferryman" / "lab-tests", first=0) as (_, folder):
        provision(folder)
        yield folder


def provision(folder: Path) -> None:
    """The repository's own configuration with short waits, its inventory as the lab boots, and no journal."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    shutil.copyfile(REPOSITORY / "ferryman.toml", folder / "ferryman.toml")
    configure(folder, FOR_ALL)
    shutil.copytree(REPOSITORY / "inventory", folder / "inventory")
    (folder / "cookbooks").symlink_to(REPOSITORY / "cookbooks")
    catalog = Catalog(folder / "inventory" / "services.yaml")
    for service in topology.DEFAULT.services:  # whoever tried the lab may have migrated some
        to: Literal["ipip", "direct"] = "ipip" if service.forwarding is Forwarding.TUNNEL else "direct"
        flip = catalog.flipped(service.name, "lab", to)
        if flip.after != flip.before:
            catalog.write(flip.after, expected=flip.before)
