"""What dry runs foretold, as files: private, few, replaced whole, and never a reason for a run to fail."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.config import Config
from ferryman.state import RunRequest
from ferryman.state.factory import foretellings_of
from ferryman.state.foretellings import MAX_BYTES, Foretellings

if TYPE_CHECKING:
    from collections.abc import Callable


def request(**arguments: Any) -> RunRequest:  # noqa: ANN401  # whatever a cookbook takes
    return RunRequest(cookbook="migrate", arguments=arguments, operator="olga")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "foretold"


def test_what_was_never_kept_is_none_and_makes_no_folder(folder: Path) -> None:
    assert Foretellings(folder).read(request()) is None
    assert not folder.parent.exists()


def test_it_is_kept_for_cookbook_and_arguments_whoever_asks_and_why(folder: Path) -> None:
    kept = Foretellings(folder)
    kept.write(request(service="web", flags=("a",)), {"n": 1})
    again = RunRequest(
        cookbook="migrate", arguments={"flags": ["a"], "service": "web"}, operator="rita", reason="why"
    )
    assert kept.read(again) == {"n": 1}
    assert kept.read(request(service="web", flags=("b",))) is None


def test_only_its_owner_may_read_it_and_its_name_tells_nothing(folder: Path) -> None:
    old = os.umask(0)
    try:
        Foretellings(folder).write(request(token="hunter2"), {})
    finally:
        os.umask(old)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "hunter2" not in file.name


def test_the_oldest_go_when_there_are_more_than_are_kept(folder: Path) -> None:
    kept = Foretellings(folder, keep=3)
    for number in range(5):
        kept.write(request(number=number), {"n": number})
        (file,) = [path for path in folder.iterdir() if path.stat().st_mtime_ns > 10**12 * 10**6]
        os.utime(file, ns=(number, number))
    assert [kept.read(request(number=number)) for number in range(5)] == [
        None,
        None,
        *({"n": n} for n in (2, 3, 4)),
    ]


def test_what_others_put_there_stays(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "notes.json").write_text("{}")
    os.utime(folder / "notes.json", ns=(1, 1))
    kept = Foretellings(folder, keep=1)
    kept.write(request(n=1), {})
    kept.write(request(n=2), {})
    assert (folder / "notes.json").exists()
    assert len(list(folder.iterdir())) == 2


def test_drafts_of_processes_that_died_count_among_those_that_go(folder: Path) -> None:
    kept = Foretellings(folder, keep=1)
    kept.write(request(), {})
    (file,) = folder.iterdir()
    draft = file.with_suffix(f".{'a' * 16}.tmp")
    draft.write_text("{")
    os.utime(draft, ns=(1, 1))
    kept.write(request(), {"n": 1})
    assert [*folder.iterdir()] == [file]


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ("sqlite:.ferryman/state.db", "/etc/ferryman/.ferryman/foretold"),
        ("sqlite:/var/lib/ferryman/state.db", "/var/lib/ferryman/foretold"),
        ("etcd://127.0.0.1:2379/ferryman", "/etc/ferryman/.ferryman/foretold"),
    ],
)
def test_they_are_beside_the_state_and_with_a_cluster_beside_the_configuration(
    state: str, place: str
) -> None:
    config = Config(file=Path("/etc/ferryman/ferryman.toml"), state=state)
    assert foretellings_of(config).folder == Path(place)


def test_a_write_that_fails_leaves_the_earlier_one_and_no_draft(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Foretellings(folder)
    kept.write(request(), {"n": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    kept.write(request(), {"n": 2})
    assert kept.read(request()) == {"n": 1}
    assert len(list(folder.iterdir())) == 1


def test_what_is_too_large_or_no_json_is_not_kept(folder: Path) -> None:
    kept = Foretellings(folder)
    kept.write(request(), {"text": "x" * MAX_BYTES})
    kept.write(request(), {"object": object()})
    assert kept.read(request()) is None


def a_link(path: Path) -> None:
    path.with_name("elsewhere").write_text('{"n": 1}')
    path.symlink_to("elsewhere")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def too_much(path: Path) -> None:
    path.write_bytes(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize("put", [a_link, a_pipe, a_folder, too_much])
def test_what_is_no_such_file_is_not_read_and_nobody_waits_for_it(
    folder: Path, put: Callable[[Path], None]
) -> None:
    kept = Foretellings(folder)
    kept.write(request(), {"n": 1})
    (file,) = folder.iterdir()
    file.unlink()
    put(file)
    assert kept.read(request()) is None
    kept.remove(request())
