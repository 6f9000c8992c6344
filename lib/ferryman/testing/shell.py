"""A verb run by a real shell of this machine: what tests of a verb's own script want."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from ferryman.hosts.completed import Completed
from ferryman.hosts.framing import command_line, new_token, unframed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ferryman.hosts.verbs import Verb


def run_here(
    verb: Verb[Any],
    *,
    host: str = "here",
    env: Mapping[str, str] | None = None,
    shell: str = "/bin/sh",
    guarded: Callable[[str], str] = str,
) -> Completed:
    """Run a verb on this machine as a host does, whose login shell is ``shell``; ``verb.value`` parses it.

    ``guarded`` puts a guard around the script, as ``Fence.around`` does.
    """
    token = new_token()
    done = subprocess.run(
        [shell, "-c", command_line(verb, token, guarded)],
        input=verb.stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        env=env,
        check=False,
    )
    out, err = (output.decode("utf-8", "surrogateescape") for output in (done.stdout, done.stderr))
    return unframed(Completed(host, verb.shown, done.returncode, out, err), token, verb)
