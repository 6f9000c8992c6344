"""What is read of a realserver: its facts in one round trip, and its counters alone.

The answer has named sections between lines that begin with a token made up for this one question, so nothing
a host prints can be taken for one. What a section complains of stands on standard error, after its name.

Starting a program is the slow part on a busy host, and a ``$(...)`` is one more. So one ``grep`` reads all
files (dash reads byte by byte, and the kernel gives a setting away whole or not at all), and one ``ip``
answers several questions; what systemd and namespaces know is asked only where there are such.
``iptables-legacy-save`` reads the tables that the kernel lists, so that none is loaded by asking. What
iptables keeps in nftables it is asked for only where nft cannot say it (its matches are ``xt`` there), and
``ipset`` only where a rule names a set. What the host does at its next boot: ``boot_script.py``.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ferryman.hosts.verbs.boot_script import BOOT
from ferryman.hosts.verbs.kinds import ADDRESS, TOKEN, each, kind
from ferryman.hosts.verbs.verb import MIB, ReadVerb
from ferryman.realservers.facts.parse import parse, parse_counters
from ferryman.realservers.facts.routing import Lookup
from ferryman.realservers.facts.values import Facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferryman.hosts.completed import Completed

_COUNTED = r"""
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH
have() { command -v "$1" >/dev/null 2>&1; }
filters() {
  have tc || { echo "tc is not installed" >&2; return 127; }
  seen=0
  tc qdisc show | while read -r _ kind _ _ device _; do
    case $kind in clsact) ways='ingress egress' ;; ingress) ways=ingress ;; *) continue ;; esac
    case $device in cali*|lxc*|veth*|tap*) continue ;; esac
    seen=$((seen + 1))
    if [ "$seen" -gt 32 ]; then break; fi
    for way in $ways; do
      printf 'device %s %s\n' "$device" "$way"
      tc -s filter show dev "$device" "$way"
    done
  done
}
more_counters() {
  grep -aH '' /proc/net/snmp /proc/net/snmp6 /proc/net/stat/rt_cache /proc/net/stat/nf_conntrack \
    /proc/net/xfrm_stat
}
"""
"""What a host has counted, beside what TCP and the devices have; and what tc(8) does before netfilter: the
filters of devices that are no pod's own. In words, for before iproute2 6 those of u32 are no JSON."""

_FACTS = (
    _COUNTED
    + r"""
T=@@$1; routes4=${2-}; routes6=${3-}
printf 'ferryman-facts %s\n' "$T"
section() {
  name=$1; shift
  printf '%s stderr %s\n' "$T" "$name" >&2
  printf '%s begin %s\n' "$T" "$name"
  "$@"
  printf '\n%s end %s %s\n' "$T" "$name" "$?"
}
files() {
  grep -aH '' /proc/sys/kernel/osrelease /proc/net/netstat /proc/net/dev /proc/net/ipv6_route \
    /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/conf/*/arp_ignore \
    /proc/sys/net/ipv4/conf/*/arp_announce /proc/sys/net/ipv6/conf/*/disable_ipv6 "$@"
}
clamper() {
  systemctl show -p ActiveState -p UnitFileState -p NeedDaemonReload -p ExecStart "$CLAMPER"
}
pods() {
  found=$(ip netns list-id) || return
  IFS='
'
  for l in $found; do
    case $l in *'netns name: '*) ;; *) continue ;; esac
    id=${l#nsid }; pod=${l##*netns name: }; pod=${pod%)}
    printf 'pod %s %s\n' "${id%% *}" "$pod"
    ip -j -n "$pod" addr show
  done
  unset IFS
}
sockets() {
  if have ss; then ss -ltun; return; fi
  grep -H '' /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6
}
keep() { kept=$("$@"); code=$?; rules=$rules$kept; printf '%s\n' "$kept"; return "$code"; }
legacy() {
  if [ ! -e "$1" ]; then return 0; fi
  if [ ! -r "$1" ]; then echo "$1 may not be read" >&2; return 1; fi
  read -r t <"$1" || return 0
  if have "$2-legacy-save"; then keep "$2-legacy-save"; return; fi
  case $("$2-save" --version) in *nf_tables*)
    echo "tables of $2-legacy are loaded, but no $2-legacy-save is installed" >&2; return 127 ;;
  esac
  keep "$2-save"
}
nft_all() {
  if have nft; then keep nft -j list ruleset; return; fi
  have iptables-save || { echo "neither nft nor iptables is installed" >&2; return 127; }
}
nft_save() { if have "$1-nft-save"; then keep "$1-nft-save"; fi; }
answers() {
  if [ -z "$2" ]; then return; fi
  printf '%s\nanswers\n' "$2"
  printf 'rule show\n%s\n' "$2" | ip "$1" -j -force -batch - 2>&1
}
routing() {
  grep -aH '' /proc/sys/net/ipv4/conf/*/src_valid_mark /proc/sys/net/ipv4/conf/*/accept_local \
    /proc/sys/net/ipv4/tcp_l3mdev_accept /proc/sys/net/ipv4/udp_l3mdev_accept \
    /proc/sys/net/ipv4/tcp_fwmark_accept
}
"""
    + BOOT
    + r"""
CLAMPER=tcp-mss-clamper.service
set --
for f in /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf \
  /lib/sysctl.d/*.conf /etc/sysctl.conf /etc/cni/net.d/*.conf /etc/cni/net.d/*.conflist; do
  case $f in /lib/*) if [ -L /lib ]; then continue; fi ;; esac
  if [ -e "$f" ]; then set -- "$@" "$f"; fi
done
if [ -d /run/systemd/system ]; then
  section init echo systemd
  for f in /etc/systemd/system /run/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    if [ -e "$f/$CLAMPER" ]; then section clamper clamper; break; fi
  done
  for f in /sys/fs/cgroup/system.slice /sys/fs/cgroup/systemd/system.slice; do
    if [ -r "$f/$CLAMPER/cgroup.procs" ] && read -r pid <"$f/$CLAMPER/cgroup.procs"; then
      set -- "$@" "/proc/$pid/cmdline"
    fi
  done
else
  section init echo other
fi
section ip ip -j -d -batch - <<'EOF'
addr show
route show table local type local
EOF
section routes4 answers -4 "$routes4"
section routes6 answers -6 "$routes6"
section routing routing
section tc filters
section counted more_counters
section sockets sockets
section names printf '%s\n' "$@"
for f in /etc/protocols /proc/sys/net/netfilter/nf_conntrack_tcp_loose; do
  if [ -r "$f" ]; then set -- "$@" "$f"; fi
done
section files files "$@"
section boot boot
section around around
for f in /proc/sys/net/ipv4/conf/cali*; do
  if [ -e "$f" ]; then section pods pods; break; fi
done
rules=; kept=
section legacy4 legacy /proc/net/ip_tables_names iptables
section legacy6 legacy /proc/net/ip6_tables_names ip6tables
section nft nft_all
if ! have nft; then kept='"xt"'; fi
case $kept in *'"xt"'*)
  section nft4 nft_save iptables
  section nft6 nft_save ip6tables ;;
esac
case $rules in *--match-set*) section ipset ipset save ;; esac
printf '%s done\n' "$T"
"""
)


LOOKUPS = each(
    kind(
        "",
        lambda lookup: (
            isinstance(lookup, Lookup)
            and ADDRESS["kind"].fits(lookup.to)
            and ADDRESS["kind"].fits(lookup.of)
            and lookup.to.version == lookup.of.version
        ),
    ),
    "a tuple of routes that are looked up, each between two addresses of one family",
)


@dataclass(frozen=True)
class ReadFacts(ReadVerb[Facts]):
    """Reads everything that the checks of a realserver want to know of it."""

    name = "facts"
    limit = 32 * MIB
    kept_as_text = True
    script = _FACTS

    token: str = field(
        default_factory=partial(secrets.token_hex, 8), compare=False, repr=False, metadata=TOKEN
    )
    """Begins the lines between the sections; of each question another, and no part of what is asked."""
    lookups: tuple[Lookup, ...] = field(default=(), compare=False, metadata=LOOKUPS)
    """The routes that are asked for. They follow from the inventory, and tell one question from no other."""

    @property
    def words(self) -> Sequence[str]:
        """The token, and what ``ip -batch`` is asked, of IPv4 and of IPv6."""
        asked = [(lookup.to.version, lookup.words) for lookup in self.lookups]
        return self.token, *(
            "\n".join(words for version, words in asked if version == family) for family in (4, 6)
        )

    def parse(self, done: Completed) -> Facts:
        """The facts; a part that could not be read is ``Unknown``, and says why."""
        return parse(done.host, done.stdout, done.stderr or f"status {done.status}")


@dataclass(frozen=True)
class ReadCounters(ReadVerb[Mapping[str, int]]):
    """Reads what a host's kernel has counted until now; the quickest question there is."""

    name = "counters"
    needs_root = False
    script = f"{_COUNTED}grep -aH '' /proc/net/netstat /proc/net/dev\nmore_counters\nfilters\n"

    def parse(self, done: Completed) -> Mapping[str, int]:
        """The counters by name."""
        return parse_counters(done.stdout)
