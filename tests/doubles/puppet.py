"""A double of ``puppet``, for a lab where there is no puppet server.

What it really does, as puppet does it: it writes a file from a template and the service catalog; it ends with
the statuses of ``--detailed-exitcodes``; it writes ``last_run_summary.yaml`` when it is through, on this
host's own clock; it refuses while it is disabled, and while another run holds the lock, in puppet's words
(``lib/puppet/agent.rb``).

It knows two commands: ``puppet config print --section agent KEY`` and ``puppet agent --test``. Its folder,
``$PUPPET_DOUBLE``, holds ``template`` (in which ``%NAME%`` becomes ``True`` where the catalog tunnels the
service, else ``False``, and ``%NAME:YES:NO%`` one of those words), ``settings`` (lines ``catalog``, ``site``,
``target`` with a path or a name), and, for trouble, ``fails`` (a status, and what it says on standard error).

It runs under the system's own Python in a slow guest: so it imports little.
"""

from __future__ import annotations

import json
import os
import sys
import time

FOLDER = os.environ["PUPPET_DOUBLE"]
PLACES = {
    "lastrunsummary": "last_run_summary.yaml",
    "agent_disabled_lockfile": "agent_disabled.lock",
    "agent_catalog_run_lockfile": "agent_catalog_run.lock",
}


def path(name: str) -> str:
    return os.path.join(FOLDER, name)


def read(name: str) -> str:
    try:
        with open(path(name)) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def replace(target: str, text: str) -> None:
    with open(f"{target}.new", "w") as file:
        file.write(text)
    os.rename(f"{target}.new", target)


def tunnelled(catalog: str, service: str, site: str) -> bool:
    """Whether the catalog lists the site in the service's flag; it knows the two ways to write a list."""
    lines = iter(catalog.splitlines())
    for line in lines:
        if line.startswith(f"  {service}:"):
            break
    block = []
    for line in lines:
        if line[:3].strip() and not line.strip().startswith("#"):
            break
        block.append(line.split("#")[0])
    _, _, after = " ".join(block).partition("ipip_encapsulation:")
    words = after.replace("[", " ").replace("]", " ] ").replace(",", " ").replace("- ", " ").split()
    listed = []
    for word in words:
        if word == "]" or word.endswith(":"):
            break
        listed.append(word)
    return site in listed


def rendered(settings: dict[str, str]) -> str:
    with open(settings["catalog"]) as file:
        catalog = file.read()
    parts = read("template").split("%")
    for place in range(1, len(parts), 2):
        name, yes, no = [*parts[place].split(":"), "True", "False"][:3]
        parts[place] = yes if tunnelled(catalog, name, settings["site"]) else no
    return "".join(parts)


def summary(failed: int, changed: int) -> None:
    now = int(time.time())
    text = (
        f"---\nversion:\n  config: {now}\n  puppet: 7.23.0\n"
        f"resources:\n  changed: {changed}\n  failed: {failed}\n  failed_to_restart: 0\n  total: 1\n"
        f"time:\n  total: 0.1\n  last_run: {now}\nchanges:\n  total: {changed}\n"
        f"events:\n  failure: {failed}\n  success: {changed}\n  total: {failed + changed}\n"
    )
    replace(path(PLACES["lastrunsummary"]), text)


def refused() -> str:
    """Why it does not run, in puppet's words."""
    if disabled := read(PLACES["agent_disabled_lockfile"]):
        reason = json.loads(disabled).get("disabled_message", "reason not specified")
        skips = "Notice: Skipping run of Puppet configuration client"
        return (
            f"{skips}; administratively disabled (Reason: '{reason}');\n"
            "Use 'puppet agent --enable' to re-enable."
        )
    lock = PLACES["agent_catalog_run_lockfile"]
    if read(lock):
        return (
            f"Notice: Run of Puppet configuration client already in progress; skipping  ({path(lock)} exists)"
        )
    return ""


def agent() -> int:
    if why := refused():
        print(why)
        return 1
    settings = dict(line.split(" ", 1) for line in read("settings").splitlines())
    if trouble := read("fails"):
        status, words = trouble.split(" ", 1)
        sys.stderr.write(words)
        if int(status) in (4, 6):
            summary(failed=1, changed=0)
        return int(status)
    text, target = rendered(settings), settings["target"]
    try:
        with open(target) as file:
            changed = file.read() != text
    except FileNotFoundError:
        changed = True
    if changed:
        replace(target, text)
        print(f"Notice: /Stage[main]/Pybal::Configuration/File[{target}]/content: content changed")
    summary(failed=0, changed=int(changed))
    return 2 if changed else 0


def main() -> int:
    if sys.argv[1:3] == ["config", "print"]:
        print(path(PLACES[sys.argv[-1]]))
        return 0
    if sys.argv[1:2] == ["agent"]:
        return agent()
    sys.stderr.write(f"Error: Unknown Puppet subcommand '{' '.join(sys.argv[1:])}'\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
