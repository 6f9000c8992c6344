from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from ferryman.directors.sed import edit_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LINES = st.lists(
    st.text(
        st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"], include_characters="\t\\&'\"$"),
        max_size=6,
    ),
    min_size=1,
    max_size=8,
)


def typed(path: Path, old: str, new: str) -> str:
    path.write_text(old, encoding="utf-8")
    command = edit_command(str(path), old, new)
    subprocess.run(["sh", "-c", command], check=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    return path.read_text(encoding="utf-8")


@example(old=["", ""], new=["\\"])
@example(old=["a", "b"], new=["\\", "\\n"])
@given(old=LINES, new=LINES)
def test_the_command_makes_of_one_text_the_other(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str]
) -> None:
    path = tmp_path_factory.mktemp("sed") / "a file's.conf"
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
    if before != after:
        assert typed(path, before, after) == after


def test_only_the_lines_that_differ_are_named() -> None:
    old = "virtual_server 10.99.0.2 8080 {\n    lvs_method TUN\n    protocol TCP\n}\n"
    command = edit_command("/etc/keepalived/maps.conf", old, old.replace("TUN", "DR"))
    assert command == r"sed -i -e '2c\    lvs_method DR' /etc/keepalived/maps.conf"
