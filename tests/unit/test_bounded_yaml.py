"""What costs much, or ends the process, is refused before anything is made of it, with its place."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from ferryman.errors import InventoryError
from ferryman.inventory import Inventory
from ferryman.management.puppet import _summary

REPOSITORY = Path(__file__).parents[2]
BOMB = "bomb0: &b0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"bomb{number}: &b{number} [{', '.join([f'*b{number - 1}'] * 10)}]\n" for number in range(1, 10)
)
MERGED = "bomb0: &b0 {k0: 1}\n" + "".join(
    f"bomb{number}: &b{number}\n  <<: [*b{number - 1}, *b{number - 1}]\n  k{number}: 1\n"
    for number in range(1, 24)
)
SOUND = (REPOSITORY / "inventory" / "services.yaml").read_text()
COSTLY = {
    "aliases of aliases": BOMB,
    "merged aliases": MERGED,
    "50,000 brackets": "bomb: " + "[" * 50_000,
    "50,000 brackets that close": "bomb: " + "[" * 50_000 + "]" * 50_000,
    "50,000 braces": "bomb: " + "{a: " * 50_000,
    "50,000 dashes": "bomb:\n  " + "- " * 50_000,
    "50,000 question marks": "bomb:\n  " + "? " * 50_000,
    "2 KB of blocks": "bomb:\n" + "".join(" " * (depth + 1) + "k:\n" for depth in range(60)) + "\t",
    "a number of base 60": "bomb: {port: 1" + ":59" * 5_000 + "}",
    "a number of 200,000 digits": "bomb: {port: " + "9" * 200_000 + "}",
    "a hexadecimal one": "bomb: {port: 0x" + "f" * 200_000 + "}",
    "python": "bomb: !!python/object/apply:os.system [touch executed]",
    "an anchor twice": "bomb: &x 1\nbomb1: &x 2\nbomb2: *x",
    "a date that is none": "bomb: 2026-99-99",
    "itself": "bomb: &x [*x]",
    "merged into itself": "bomb: &x\n  <<: *x",
}
FILES = ["services.yaml", "hosts.yaml", "clusters.yaml", "directors.yaml", "nodes/lab.yaml"]


def below_catalog(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.split("\n"))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("text", COSTLY.values(), ids=COSTLY)
def test_what_costs_much_is_an_error_with_its_place_or_stops_nobody(text: str, file: str) -> None:
    sound = (
        (REPOSITORY / "inventory" / file).read_text() if (REPOSITORY / "inventory" / file).exists() else ""
    )
    texts = {
        name: (REPOSITORY / "inventory" / name).read_text()
        for name in FILES
        if (REPOSITORY / "inventory" / name).exists()
    }
    texts[file] = sound + "\n" + (below_catalog(text) if file == "services.yaml" else text)
    tracemalloc.start()
    try:
        inventory = Inventory.of_texts(texts)
        for asked in (lambda: inventory.service("web", "lab"), lambda: inventory.hosts):
            try:
                asked()
            except InventoryError as error:
                assert file in str(error)  # noqa: PT017  # it may be raised
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20
    assert not Path("executed").exists()


@pytest.mark.parametrize("text", COSTLY.values(), ids=COSTLY)
def test_one_entry_that_costs_much_stops_nobody_who_needs_another(text: str) -> None:
    if text.startswith(("bomb: {a: {a", "bomb: [[")) or "? ?" in text or "- -" in text:
        pytest.skip("nobody can say where such an entry ends")
    texts = {"services.yaml": SOUND + "\n" + below_catalog(text)}
    assert "web" in Inventory.of_texts(texts).names


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("service::catalog: {}\0", r"U\+0000"),
        ("service::catalog: {}".encode("utf-16"), "is not UTF-8"),
        ("service::catalog: {}".encode("utf-32"), "is not UTF-8"),
        ("service::catalog:\n" + "".join(f"  k{number}: {{}}\n" for number in range(100_001)), "200000"),
        ("#" * (8 << 20) + "\na: b", "characters"),
    ],
)
def test_what_is_no_text_or_too_much_is_told(content: str | bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InventoryError, match=said):
        _ = Inventory.load(tmp_path).names


def test_what_a_host_says_ends_no_process() -> None:
    script = "from ferryman.management.puppet import _summary; print(_summary('[' * 50_000))"
    environment = {"PYTHONPATH": str(REPOSITORY / "lib")}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "{}\n"), ended
    assert _summary(BOMB) == {}
