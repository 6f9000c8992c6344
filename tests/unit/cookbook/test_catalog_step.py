"""The flag in the catalog: flipped, put back to the byte, and never over somebody else's work."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ferryman.config import Config
from ferryman.cookbook import CatalogFlipped, Ferry, Plan
from ferryman.errors import DryRunError, RefusedError, VerifyError, WorldChangedError
from ferryman.hosts.fake import FakeHosts
from ferryman.model import Director, Kind, Realserver, Role, Service, VirtualService
from ferryman.testing import Harness
from ordinary_user import as_user, give

CATALOG = """\
# kept by hand
service::catalog:
  web:
    ip: {lab: {default: 192.0.2.1}}   # flow style
    lvs:
      class: low-traffic
      scheduler: wrr
    port: 80
    sites: [lab]
    state: production
  other:
    port: 81
"""
FLIPPED = CATALOG.replace("wrr\n", "wrr\n      ipip_encapsulation: [lab]\n")
VIRTUAL = VirtualService("web", "default", "tcp", IPv4Address("192.0.2.1"), 80, "wrr")
SERVICE = Service(
    name="web",
    site="lab",
    encryption=False,
    lvs_class="low-traffic",
    encapsulated=False,
    virtual_services=(VIRTUAL,),
    realservers=(Realserver("rs1", Kind.SERVER, IPv4Address("192.0.2.11"), None),),
    directors=(Director("lvs1", Role.PRIMARY, "ipvsadm"),),
)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    (tmp_path / "inventory").mkdir()
    file = tmp_path / "inventory" / "services.yaml"
    file.write_text(CATALOG)
    return file


def step(catalog: Path, *, dry_run: bool = False) -> CatalogFlipped:
    config = Config(file=catalog.parents[1] / "ferryman.toml", inventory=catalog.parent)
    return CatalogFlipped(Ferry(config, FakeHosts(), dry_run=dry_run), SERVICE)


class Unheard:
    def finding(self, finding: object) -> None: ...
    def probe(self, result: object) -> None: ...


def test_it_is_flipped_by_its_own_lines_and_put_back_to_the_byte(catalog: Path) -> None:
    flip = step(catalog)
    was = flip.check(Unheard())
    assert isinstance(was, dict)
    flip.do(was)
    assert catalog.read_text() == FLIPPED
    flip.do(was)
    flip.verify(Unheard())
    flip.undo(was)
    flip.undo(was)
    assert catalog.read_text() == CATALOG
    assert flip.diff_after_undo(was, Unheard()) is None


def test_a_flag_that_is_there_is_already_so(catalog: Path) -> None:
    catalog.write_text(FLIPPED)
    ending = Harness().perform(Plan([step(catalog)]))
    assert (ending.outcome, catalog.read_text()) == ("done", FLIPPED)


def test_a_dry_run_shows_the_diff_and_writes_nothing(catalog: Path) -> None:
    harness = Harness()
    assert harness.perform(Plan([step(catalog, dry_run=True)]), dry_run=True).outcome == "done"
    (shown,) = [one.as_dict() for one in harness.events if one.event.event == "change"]
    assert "+      ipip_encapsulation: [lab]\n" in shown["diff"]
    assert shown["applied"] is False
    assert catalog.read_text() == CATALOG


def test_a_step_that_forgets_the_dry_run_is_stopped_where_it_writes(catalog: Path) -> None:
    flip = step(catalog, dry_run=True)
    was = flip.check(Unheard())
    assert isinstance(was, dict)
    with pytest.raises(DryRunError):
        flip.do(was)
    assert catalog.read_text() == CATALOG


def test_what_somebody_else_wrote_since_is_not_overwritten(catalog: Path) -> None:
    flip = step(catalog)
    was = flip.check(Unheard())
    assert isinstance(was, dict)
    theirs = CATALOG.replace("port: 81", "port: 82")
    catalog.write_text(theirs)
    with pytest.raises(WorldChangedError, match="82"):
        flip.do(was)
    assert catalog.read_text() == theirs


def test_what_is_told_as_taken_back_is_what_was_written(catalog: Path) -> None:
    flip = step(catalog)
    was = flip.check(Unheard())
    assert isinstance(was, dict)
    assert list(flip.undo(was)) == []
    flip.do(was)
    (edit,) = flip.undo(was)
    assert "-      ipip_encapsulation: [lab]\n" in str(edit.diff)


def test_its_effect_is_seen_whether_the_journal_knows_of_it_or_not(catalog: Path) -> None:
    flip = step(catalog)
    was = flip.check(Unheard())
    assert isinstance(was, dict)
    assert flip.effect_seen(was, Unheard()) is flip.effect_seen(None, Unheard()) is None
    flip.do(was)
    for before in (was, None):
        assert f"{catalog}: says web: lvs.ipip_encapsulation" in str(flip.effect_seen(before, Unheard()))


def test_a_stale_copy_that_is_moved_over_it_is_told(catalog: Path) -> None:
    flip = step(catalog)
    was = flip.check(Unheard())
    assert isinstance(was, dict)
    flip.do(was)
    flip.verify_again(was, Unheard())
    catalog.write_text(CATALOG)
    with pytest.raises(VerifyError, match="does not say web"):
        flip.verify_again(was, Unheard())


def test_a_catalog_that_it_cannot_be_taken_out_of_is_known_beforehand(catalog: Path) -> None:
    flip = step(catalog)
    was = flip.check(Unheard())
    assert isinstance(was, dict)
    flip.do(was)
    flip.require_undoable(was, Unheard())
    catalog.write_text("service::catalog: [\n")
    with pytest.raises(RefusedError, match=r"services\.yaml: .*cannot be taken back: "):
        flip.require_undoable(was, Unheard())


def test_during_the_rollback_the_flag_goes_and_somebody_elses_edit_stays(catalog: Path) -> None:
    flip = step(catalog)
    was = flip.check(Unheard())
    assert isinstance(was, dict)
    flip.do(was)
    catalog.write_text(FLIPPED.replace("port: 81", "port: 82"))
    flip.undo(was)
    assert catalog.read_text() == CATALOG.replace("port: 81", "port: 82")
    assert flip.diff_after_undo(was, Unheard()) is None


def test_a_catalog_that_this_user_may_not_write_refuses_the_run_before_its_first_change() -> None:
    with TemporaryDirectory() as outer:
        Path(outer).chmod(0o711)
        file = Path(outer) / "home" / "inventory" / "services.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(CATALOG)
        give(file.parents[1])
        file.parent.chmod(0o500)
        said = as_user(lambda: step(file).check(Unheard()))
        file.parent.chmod(0o700)
    assert said.startswith(f"RefusedError: {file}: may not be written: {file.parent} belongs to ")
