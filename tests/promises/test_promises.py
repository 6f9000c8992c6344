"""Each promise of the engine is broken on purpose, in a copy of the library, and some test must turn red.

A test that cannot fail protects nothing. Each breach is the smallest edit that takes one safeguard away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from promises.breaches import BREACHES, Breach
from tools import require_tool

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.promise)
def test_a_test_turns_red_when_the_promise_is_broken(breach: Breach, tmp_path: Path) -> None:
    if "etcd" in breach.tests:
        require_tool("etcd", package="etcd-server")
    shutil.copytree(ROOT / "lib" / "ferryman", tmp_path / "ferryman")
    file = tmp_path / "ferryman" / breach.file
    text = file.read_text()
    assert text.count(breach.there) == 1, "the safeguard is no longer there as it was: adapt the breach"
    file.write_text(text.replace(breach.there, breach.instead))

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            breach.tests,
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-3000:] + done.stderr[-1000:]
    assert "failed" in done.stdout.splitlines()[-1]
