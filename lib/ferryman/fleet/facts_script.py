"""What a host is asked for its facts: one POSIX shell script that only reads, in one round trip.

Its answer has named sections between lines that begin with a token made up for this one question, so nothing
a host prints can be taken for one. Files are read by the shell itself, for starting a program is the slow
part on a busy host; but settings by ``grep``, for dash reads byte by byte, and the kernel gives a setting
away whole or not at all. ``iptables-legacy-save -t nat`` would load the kernel's nat table where it is not
used yet, so it is asked only when the kernel lists the table.
"""

from __future__ import annotations

import secrets
import shlex

HEADER = "ferryman-facts"

_SCRIPT = r"""
exec 3>&1
T=@TOKEN@
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH
printf '@HEADER@ %s\n' "$T"
have() { command -v "$1" >/dev/null 2>&1; }
section() {
  name=$1; shift
  printf '%s begin %s\n' "$T" "$name"
  err=$("$@" 2>&1 >&3); status=$?
  set -f; set -- $err; set +f
  printf '\n%s end %s %s %s\n' "$T" "$name" "$status" "$*"
}
show() { while IFS= read -r l || [ -n "$l" ]; do printf '%s\n' "$l"; done <"$1"; }
conf() {
  grep -H '' /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/conf/*/arp_ignore \
    /proc/sys/net/ipv4/conf/*/arp_announce /proc/sys/net/ipv6/conf/*/disable_ipv6
}
sockets() {
  if have ss; then ss -ltun; return; fi
  for p in tcp tcp6 udp udp6; do
    [ -r "/proc/net/$p" ] || continue
    printf 'file %s\n' "$p"; show "/proc/net/$p"
  done
}
listed() { [ -r "$1" ] && while read -r t; do [ "$t" = nat ] && return 0; done <"$1"; return 1; }
legacy() {
  if [ -e "$1" ] && [ ! -r "$1" ]; then echo "$1 may not be read" >&2; return 1; fi
  if ! listed "$1"; then return 0; fi
  if have "$2-legacy-save"; then "$2-legacy-save" -t nat; else "$2-save" -t nat; fi
}
nft_nat() { if have "$1-nft-save"; then "$1-nft-save" -t nat; fi; }
nft_all() {
  if have nft; then nft list ruleset; return; fi
  have iptables-save || { echo "neither nft nor iptables is installed" >&2; return 127; }
}
section kernel show /proc/sys/kernel/osrelease
section clock date +%s
section devices ip -j -d addr show
section local4 ip -j -4 route show table local type local
section local6 ip -j -6 route show table local type local
section conf conf
section sockets sockets
section netstat show /proc/net/netstat
section legacy4 legacy /proc/net/ip_tables_names iptables
section legacy6 legacy /proc/net/ip6_tables_names ip6tables
section nft4 nft_nat iptables
section nft6 nft_nat ip6tables
section nft nft_all
printf '%s done\n' "$T"
"""


def command() -> str:
    """The command that asks for everything, whatever shell the user of the host has."""
    token = f"@@{secrets.token_hex(8)}"
    script = _SCRIPT.replace("@TOKEN@", token).replace("@HEADER@", HEADER).strip()
    return f"exec /bin/sh -c {shlex.quote(script)}"
