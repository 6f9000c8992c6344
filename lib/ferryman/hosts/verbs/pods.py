"""What a node is asked of its pods' networks, and the one thing that is done to them: another MSS.

A pod's network namespace is found by the name that the container runtime gave it, as ``ip netns`` lists it;
one without a name is not to be seen. The devices of pods are never touched: a smaller MTU at one end alone
stalls uploads under way, and no ICMP says so.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from ferryman.hosts.verbs.kinds import ADDRESS, NAME, TOKEN, each, kind
from ferryman.hosts.verbs.realservers import PODS
from ferryman.hosts.verbs.verb import MIB, ReadVerb, WriteVerb
from ferryman.realservers.facts.pods import NodePods, node_pods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.hosts.completed import Completed
    from ferryman.model import Address

ROUTE = (
    r"default( via [0-9a-f.:]{2,45})? dev [A-Za-z0-9_][A-Za-z0-9_.:@+-]{0,14}( proto [a-z0-9_]{1,20})?"
    r"( scope [a-z0-9_]{1,20})?( src [0-9a-f.:]{2,45})?( metric [0-9]{1,10})?( onlink)?"
    r"( advmss [0-9]{1,5})?( pref [a-z]{1,10})?"
)
"""A default route that ip(8) takes back as it prints it; with anything else in it, it is left alone."""
IS_ROUTE = re.compile(ROUTE)


@dataclass(frozen=True)
class ReadPodNetworks(ReadVerb[NodePods]):
    """Reads the MTU at both ends of each pod's device, its default routes, and the CNI's configuration."""

    name = "pod-networks"
    limit = 16 * MIB
    kept_as_text = True
    script = (
        r"""
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH
T=@@$1
nl='
'
have() { command -v "$1" >/dev/null 2>&1; }
section() {
  name=$1; shift
  printf '%s stderr %s\n' "$T" "$name" >&2
  printf '%s begin %s\n' "$T" "$name"
  "$@"
  printf '\n%s end %s %s\n' "$T" "$name" "$?"
}
"""
        + PODS
        + r"""cni() {
  set -- /dev/null
  for f in /etc/cni/net.d/*.conf /etc/cni/net.d/*.conflist /etc/cni/net.d/*.json /var/lib/calico/mtu; do
    if [ -f "$f" ]; then set -- "$@" "$f"; fi
  done
  grep -aH '' "$@" || :
}
owners() {
  set --
  for f in /etc/cni/net.d/*.conf /etc/cni/net.d/*.conflist /etc/cni/net.d/*.json; do
    if [ -f "$f" ]; then set -- "$@" "$f"; fi
  done
  if [ $# -gt 0 ]; then
    stat -c 'changed %Y %n' "$@"
    if have dpkg-query; then dpkg-query -S "$@" 2>/dev/null | sed 's/^/package /'; fi
    for r in /var/lib/puppet/state/resources.txt /opt/puppetlabs/puppet/cache/state/resources.txt \
      /var/cache/puppet/state/resources.txt; do
      if [ ! -r "$r" ]; then continue; fi
      for f in "$@"; do
        if grep -qixF -e "file[$f]" -e "file[${f%/*}]" "$r"; then printf 'puppet %s\n' "$f"; fi
      done
    done
  fi
  sed -n 's/^[[:space:]]*\(conf_dir\|network_dir\)[[:space:]]*=[[:space:]]*"\([^"]*\)".*/folder \2/p' \
    /etc/containerd/config.toml /etc/crio/crio.conf 2>/dev/null
  process=$(grep -slxF calico-node /proc/[0-9]*/comm) || return 0
  process=${process%%"$nl"*}
  tr '\0' '\n' <"${process%/comm}/environ" 2>/dev/null | sed -n 's/^CALICO_MANAGE_CNI=/manages /p'
}
printf 'ferryman-facts %s\n' "$T"
section host ip -j addr show
section pods pods
section cni cni
section owners owners
"""
    )

    token: str = field(
        default_factory=partial(secrets.token_hex, 8), compare=False, repr=False, metadata=TOKEN
    )
    """Begins the lines between the sections; of each question another, and no part of what is asked."""

    @property
    def words(self) -> Sequence[str]:
        """The token."""
        return (self.token,)

    def parse(self, done: Completed) -> NodePods:
        """The pods' networks; a part that could not be read is ``Unknown``, and says why."""
        return node_pods(done.host, done.stdout, done.stderr or f"status {done.status}")


@dataclass(frozen=True, slots=True)
class RouteEdit:
    """A default route of a pod, as it is expected to be and as it is to become."""

    version: int
    expected: str
    wanted: str


EDITS = each(
    kind(
        "",
        lambda edit: (
            isinstance(edit, RouteEdit)
            and edit.version in (4, 6)
            and IS_ROUTE.fullmatch(edit.expected) is not None
            and IS_ROUTE.fullmatch(edit.wanted) is not None
        ),
    ),
    "a tuple of edits of default routes",
    least=1,
)

OTHER, GONE = 65, 66
Edited = Literal["done", "other", "gone"]
"""What came of an edit: a route is another one by now (those before it are edited), or the pod is gone."""


@dataclass(frozen=True)
class EditPodRoutes(WriteVerb[Edited]):
    """Edits the default routes of a pod, each if it is as expected; one that is as wanted is left alone."""

    name = "edit-pod-routes"
    script = f"""\
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH
set -euf
namespace=$1 address=$2
shift 2
[ -e "/run/netns/$namespace" ] || exit {GONE}
held=$(ip -o -n "$namespace" addr show to "$address")
[ -n "$held" ] || exit {GONE}
while [ $# -gt 0 ]; do
    now=$(ip "$1" -n "$namespace" route show default)
    now=$(echo $now)
    if [ "$now" != "$3" ]; then
        [ "$now" = "$2" ] || exit {OTHER}
        ip "$1" -n "$namespace" route change $3
    fi
    shift 3
done
"""

    namespace: str = field(metadata=NAME)
    address: Address = field(metadata=ADDRESS)
    """One of the pod's addresses: the namespace must still have it."""
    edits: tuple[RouteEdit, ...] = field(metadata=EDITS)

    @property
    def words(self) -> Sequence[str]:
        """The namespace, the address, and three words for each edit."""
        edits = (word for edit in self.edits for word in (f"-{edit.version}", edit.expected, edit.wanted))
        return self.namespace, str(self.address), *edits

    def parse(self, done: Completed) -> Edited:
        """What came of it."""
        if done.status == GONE:
            return "gone"
        if done.status == OTHER:
            return "other"
        done.checked()
        return "done"


def edit_commands(namespace: str, edits: Sequence[RouteEdit]) -> list[str]:
    """The commands that make these edits, for people."""
    return [f"ip -{edit.version} -n {namespace} route change {edit.wanted}" for edit in edits]


def with_advmss(route: str, mss: int) -> str:
    """The route with this MSS announced, in the words and the order in which ip(8) prints it.

    >>> with_advmss("default via fe80::1 dev eth0 metric 1024 pref medium", 1400)
    'default via fe80::1 dev eth0 metric 1024 advmss 1400 pref medium'
    """
    bare = re.sub(r" advmss \d+", "", route)
    head, pref, tail = bare.partition(" pref ")
    return f"{head} advmss {mss}{pref}{tail}"
