"""What is read of a realserver: its facts in one round trip, and its counters alone.

The answer has named sections between lines that begin with a token made up for this one question, so nothing
a host prints can be taken for one. What a section complains of stands on standard error, after its name.

Starting a program is the slow part on a busy host; a pipe or a ``$(...)`` copies the shell beside it, and
dash reads what comes out of that 128 bytes at a time. So one ``grep`` reads all files (dash reads byte by
byte, and the kernel gives a setting away whole or not at all), one ``ip`` of each family answers all
questions, and an answer goes through the shell only where the next question depends on it.

What cannot be there is not asked for: systemd and namespaces where there are none, ``tc`` and ``nft`` where
the kernel has not loaded their part, the tables of ``iptables-legacy`` that the kernel does not list. So none
is loaded by asking either. What iptables keeps in nftables it is asked for only where nft cannot say it (its
matches are ``xt`` there), and ``ipset`` only where a rule names a set. What the host does at its next boot:
``boot_script.py``.
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

PODS = r"""pods() {
  found=$(ip netns list-id) || return
  IFS=$nl
  for l in $found; do
    case $l in *'netns name: '*) ;; *) continue ;; esac
    id=${l#nsid }; pod=${l##*netns name: }; pod=${pod%)}
    printf 'pod %s %s\n' "${id%% *}" "$pod"
    ip -j -n "$pod" addr show
    printf 'routes4\n'; ip -4 -n "$pod" route show default
    printf 'routes6\n'; ip -6 -n "$pod" route show default
  done
  unset IFS
}
"""
"""A shell function that prints the devices and default routes of the network namespaces that have names; it
wants ``$nl`` to be a newline."""
_COUNTED = r"""
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH
nl='
'
read -r release </proc/sys/kernel/osrelease
have() { command -v "$1" >/dev/null 2>&1; }
absent() {
  if [ ! -d /sys/module ] || [ -d "/sys/module/${1##*/}" ]; then return 1; fi
  for f in "/lib/modules/$release/kernel/net/$1.ko"*; do
    if [ -e "$f" ]; then return 0; fi
  done
  return 1
}
filters_of() { printf 'device %s %s\n' "$1" "$2"; tc -s filter show dev "$1" "$2"; }
filters() {
  if absent sched/sch_ingress; then return 0; fi
  have tc || { echo "tc is not installed" >&2; return 127; }
  qdiscs=$(tc qdisc show)
  case $qdiscs in *'qdisc clsact '* | *'qdisc ingress '*) ;; *) return 0 ;; esac
  seen=0; set -f; IFS=$nl
  for l in $qdiscs; do
    case $l in 'qdisc clsact '* | 'qdisc ingress '*) ;; *) continue ;; esac
    case $l in *' dev cali'* | *' dev lxc'* | *' dev veth'* | *' dev tap'*) continue ;; esac
    seen=$((seen + 1))
    if [ "$seen" -gt 32 ]; then break; fi
    device=${l#* dev }; device=${device%% *}
    filters_of "$device" ingress
    case $l in 'qdisc clsact '*) filters_of "$device" egress ;; esac
  done
  set +f; unset IFS
}
COUNTERS='/proc/net/netstat /proc/net/dev'
MORE='/proc/net/snmp /proc/net/snmp6 /proc/net/stat/rt_cache /proc/net/stat/nf_conntrack /proc/net/xfrm_stat'
"""
"""Where a host has what it counted, and what tc(8) does before netfilter: the filters of devices that are no
pod's own. In words, for before iproute2 6 those of u32 are no JSON; and one by one, for ``tc -batch`` mixes
up what it is asked of several devices. ``absent`` is true of a part of the kernel that is a module which is
not loaded: nothing of it can be there, and asking its tool would load it."""

_FACTS = (
    _COUNTED
    + r"""
T=@@$1; routes4=${2-}; routes6=${3-}
printf 'ferryman-facts %s\n' "$T"
NET=/proc/sys/net
section() {
  name=$1; shift
  printf '%s stderr %s\n' "$T" "$name" >&2
  printf '%s begin %s\n' "$T" "$name"
  "$@"
  printf '\n%s end %s %s\n' "$T" "$name" "$?"
}
ip_answers() {
  questions=$1; shift
  printf '%s\nanswers\n' "$questions"
  ip "$@" -j -d -force -batch - <<EOF
$questions
EOF
}
files() {
  grep -aH '' /proc/sys/kernel/osrelease $COUNTERS /proc/net/ipv6_route \
    $NET/ipv4/conf/*/rp_filter $NET/ipv4/conf/*/arp_ignore $NET/ipv4/conf/*/arp_announce \
    $NET/ipv4/conf/*/src_valid_mark $NET/ipv4/conf/*/accept_local $NET/ipv6/conf/*/disable_ipv6 "$@"
}
clamper() {
  systemctl show -p ActiveState -p UnitFileState -p NeedDaemonReload -p ExecStart "$CLAMPER"
}
"""
    + PODS
    + r"""sockets() {
  if have ss; then ss -ltun; return; fi
  grep -H '' /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6
}
keep() {
  kept=$("$@"); code=$?
  case $kept in *--match-set*) sets=1 ;; esac
  printf '%s\n' "$kept"; return "$code"
}
rules() { if absent netfilter/ipset/ip_set; then "$@"; else keep "$@"; fi; }
legacy() {
  if [ ! -e "$1" ]; then return 0; fi
  if [ ! -r "$1" ]; then echo "$1 may not be read" >&2; return 1; fi
  read -r t <"$1" || return 0
  if have "$2-legacy-save"; then rules "$2-legacy-save"; return; fi
  case $("$2-save" --version) in *nf_tables*)
    echo "tables of $2-legacy are loaded, but no $2-legacy-save is installed" >&2; return 127 ;;
  esac
  rules "$2-save"
}
nft_all() {
  if absent netfilter/nf_tables; then return 0; fi
  if ! have nft; then
    have iptables-save || { echo "neither nft nor iptables is installed" >&2; return 127; }
    foreign=1
  elif absent netfilter/nft_compat; then nft -j list ruleset
  else
    keep nft -j list ruleset
    case $kept in *'"xt"'*) foreign=1 ;; esac
    return "$code"
  fi
}
nft_save() { if have "$1-nft-save"; then rules "$1-nft-save"; fi; }
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
four="addr show${nl}route show table local type local"
if [ -n "$routes4" ]; then four="$four${nl}rule show$nl$routes4"; fi
section ip ip_answers "$four"
if [ -n "$routes6" ]; then section ip6 ip_answers "rule show$nl$routes6" -6; fi
section tc filters
section sockets sockets
section names printf '%s\n' "$@"
for f in /etc/protocols $NET/netfilter/nf_conntrack_tcp_loose $MORE \
  $NET/ipv4/tcp_l3mdev_accept $NET/ipv4/udp_l3mdev_accept $NET/ipv4/tcp_fwmark_accept; do
  if [ -r "$f" ]; then set -- "$@" "$f"; fi
done
section files files "$@"
section boot boot
section around around
for f in /proc/sys/net/ipv4/conf/cali*; do
  if [ -e "$f" ]; then section pods pods; break; fi
done
sets=; foreign=
section legacy4 legacy /proc/net/ip_tables_names iptables
section legacy6 legacy /proc/net/ip6_tables_names ip6tables
section nft nft_all
if [ -n "$foreign" ]; then
  section nft4 nft_save iptables
  section nft6 nft_save ip6tables
fi
if [ -n "$sets" ]; then section ipset ipset save; fi
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
    script = f"{_COUNTED}grep -aH '' $COUNTERS $MORE\nfilters\n"

    def parse(self, done: Completed) -> Mapping[str, int]:
        """The counters by name."""
        return parse_counters(done.stdout)
