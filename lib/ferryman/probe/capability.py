"""CAP_NET_RAW: why a socket of the prober was refused, and what gives this process the right to open it.

Raw and packet sockets need CAP_NET_RAW, in the user namespace that the network belongs to, and no other right
of root's (raw(7), packet(7)).
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from pathlib import Path

from ferryman.permissions import user_name

CAP_NET_RAW = 13
"""Its bit in the masks of /proc/PID/status (linux/capability.h)."""
GUIDE = "docs/control-host.md"
FORBIDDEN = (errno.EPERM, errno.EACCES)


def refusal(what: str, error: OSError) -> str:
    """The message about a socket that could not be opened; ``what`` names it, such as ``raw IPv4 socket``."""
    python, me = sys.executable, user_name()
    refused = f"cannot probe: {python}, run by user {me}, may not open a {what}"
    if error.errno == errno.EAFNOSUPPORT:
        return (
            f"cannot probe: there is no {what} here: {error.strerror}; look whether the kernel has IPv6 "
            "(ipv6.disable); RestrictAddressFamilies= of a systemd unit needs AF_INET, AF_INET6 and AF_PACKET"
        )
    if error.errno not in FORBIDDEN:
        return f"cannot probe: a {what} cannot be opened: {error.strerror}"
    if _has("CapEff"):
        return (
            f"{refused}: {error.strerror}, though it has CAP_NET_RAW: the network that it uses belongs to "
            f"another user namespace, or a filter (seccomp, AppArmor, SELinux) forbids it; see {GUIDE}"
        )
    if not _has("CapBnd"):
        return (
            f"{refused}: CAP_NET_RAW was taken away for good from whatever is started here (CapBnd in "
            f"/proc/self/status); have it given where that begins, as {GUIDE} says:\n"
            "  a container: --cap-add NET_RAW\n"
            "  a systemd unit: CapabilityBoundingSet= with CAP_NET_RAW"
        )
    return (
        f"{refused}: it lacks CAP_NET_RAW, all that it needs of root's rights; {GUIDE} says what each of "
        "these ways to give it opens:\n"
        f"  for this command: {_for_one_command()}\n"
        f"  for good: in the place of {python} put a copy of the interpreter that only {me} may run, and "
        f"give it to that: sudo setcap cap_net_raw+ep {shlex.quote(python)}; never to the system's own\n"
        "  in a systemd unit: AmbientCapabilities=CAP_NET_RAW\n"
        "  in a container: --cap-add NET_RAW; for a user who is not root in it, with such a copy too"
    )


def _for_one_command() -> str:
    """This very command, by way of root, with the one capability and nothing else of root's."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return "run it with CAP_NET_RAW among root's capabilities"
    groups = "--init-groups" if user_name() != str(user) else "--clear-groups"
    # sudo's HOME is root's, where this user finds no key and no known_hosts.
    kept = [f"{name}={os.environ[name]}" for name in ("HOME", "SSH_AUTH_SOCK") if name in os.environ]
    rights = [f"--reuid={user}", f"--regid={group}", groups, "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
    return shlex.join(["sudo", "setpriv", *rights, "env", *kept, sys.executable, *sys.orig_argv[1:]])


def _has(mask: str) -> bool:
    """Whether CAP_NET_RAW is in one of this thread's masks; not, where nobody tells."""
    try:
        lines = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return mask == "CapBnd"  # nothing is known to forbid it
    found = next((line.split()[1] for line in lines if line.startswith(f"{mask}:")), "0")
    return bool(int(found, 16) >> CAP_NET_RAW & 1)
