"""Rule sets for the firewall's lab tests, and which packets the kernel drops by them.

The packets: ``director4`` and ``director6`` are encapsulated and from a director, ``unauthorised4`` and
``unauthorised6`` from somebody else; ``inner4`` and ``inner6`` are a client's SYN out of the tunnel.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """Rules, and which of the six packets they drop."""

    rules: str
    """For nft; or lines for iptables, ``6`` before those of ip6tables."""
    drops: str = ""
    told: bool = True
    """Whether all that matters can be read; nft 1.0.6 does not say which device a chain is bound to."""


ALL4, ALL6 = "director4 unauthorised4", "director6 unauthorised6"

NFT = {
    "no rules": Case(""),
    "Wikimedia's: policy drop, directors' networks": Case(
        """table inet base {
          set lbs { type ipv4_addr; flags interval; elements = { 10.40.0.0/24, 172.16.0.0/12 }; }
          chain input { type filter hook input priority filter; policy drop;
            ct state { established, related } accept
            ct state invalid drop
            iifname "lo" accept
            ip saddr @lbs meta l4proto 4 counter accept comment "IPIP from the directors"
            ip6 saddr { 100::/64, fd40::/64 } meta l4proto 41 accept
            tcp dport { 80, 443 } ct state new accept
          }; }""",
        "unauthorised4 unauthorised6",
    ),
    "protocol 4 dropped": Case(
        "table ip f { chain i { type filter hook input priority 0; ip protocol ipencap drop; }; }", ALL4
    ),
    "the guard that is recommended": Case(
        """table inet guard { set lbs { type ipv4_addr; flags interval; elements = { 10.40.0.0/28 }; }
          chain pre { type filter hook prerouting priority raw;
            ip protocol 4 ip saddr != @lbs drop
            ip6 nexthdr 41 ip6 saddr != fd40::1 drop
            iifname "ipip0" ip daddr != { 192.0.2.1 } drop
          }; }""",
        "unauthorised4 unauthorised6",
    ),
    "a negated rule of IPv4 says nothing of IPv6": Case(
        """table inet f { chain i { type filter hook input priority 0;
            ip protocol != { tcp, udp, icmp } drop
          }; }""",
        ALL4,
    ),
    "a map of verdicts, with a chain that it jumps to": Case(
        """table inet f {
          chain tunnels { ip saddr 10.40.0.1 accept; drop; }
          chain i { type filter hook input priority 0;
            meta l4proto vmap { 4 : goto tunnels, 41 : drop, tcp : accept }
          }; }""",
        f"unauthorised4 {ALL6}",
    ),
    "a map of verdicts of three parts": Case(
        """table ip f { map m { type ipv4_addr . inet_proto . inet_service : verdict;
            elements = { 192.0.2.1 . tcp . 80 : drop, 192.0.2.2 . tcp . 80 : accept }; }
          chain i { type filter hook input priority 0; ip daddr . meta l4proto . th dport vmap @m; }; }""",
        "inner4",
    ),
    "accepted by an early chain, dropped by a later one": Case(
        """table inet f { chain early { type filter hook input priority -10; meta l4proto 4 accept; }
          chain late { type filter hook input priority 10; meta l4proto 4 drop; }; }""",
        ALL4,
    ),
    "connection tracking, and what it does not see yet": Case(
        """table inet f {
          chain raw { type filter hook prerouting priority raw; ct state new meta l4proto 4 drop; }
          chain i { type filter hook input priority 0; ct state new meta l4proto 41 drop; }; }""",
        ALL6,
    ),
    "not tracked": Case(
        """table inet f { chain raw { type filter hook prerouting priority raw; meta l4proto 4 notrack; }
          chain i { type filter hook input priority 0; policy drop; ct state untracked accept; }; }""",
        f"{ALL6} inner4 inner6",
    ),
    "marks": Case(
        """table inet f { chain m { type filter hook prerouting priority mangle;
            ip saddr 10.40.0.1 meta mark set meta mark or 0x10
            iifname "ipip*" meta mark set 0x30
          }
          chain i { type filter hook input priority 0; policy drop; mark and 0x10 == 0x10 accept; }; }""",
        f"unauthorised4 {ALL6}",
    ),
    "a reverse path filter of nft drops what was unwrapped": Case(
        """table inet f { chain pre { type filter hook prerouting priority mangle;
            fib saddr . iif oif missing drop
          }; }""",
        "inner4 inner6",
    ),
    **{
        f"a reverse path filter, written {spelling}": Case(
            f"table inet f {{ chain p {{ type filter hook prerouting priority mangle; {spelling}; }}; }}",
            "inner4 inner6",
        )
        for spelling in (
            "fib saddr . iif oif 0 drop",
            "fib saddr . mark . iif oif eq 0 drop",
            "fib saddr . iif oif != exists drop",
            "fib saddr . iif oif { 0 } drop",
            "fib saddr . iif oif vmap { 0 : drop }",
            "fib saddr . iif oif exists accept; drop",
            "fib saddr . iif oif != 0 accept; drop",
        )
    },
    "an address that another device has is not local to this one": Case(
        """table inet f { chain p { type filter hook prerouting priority mangle;
            fib daddr . iif type != { local, broadcast, multicast } drop
          }; }""",
        "inner4 inner6",
    ),
    "looks wrong, is right: ipip is 94": Case(
        """table inet f { chain i { type filter hook input priority 0;
            ip protocol ipip drop
            meta l4proto { ipip, encap } drop
            ip protocol . ip saddr { ipip . 10.40.0.1 } drop
            meta l4proto vmap { ipip : drop }
            ip frag-off & 0x1fff != 0 drop
            @nh,72,8 94 ip version 4 drop
          }; }"""
    ),
    "a comment is no rule": Case(
        """table inet f { chain i { type filter hook input priority 0;
            counter comment "-j DROP; } ip protocol 4 drop # {"
            ip protocol 4 ip saddr 10.40.0.0/24 accept comment "ip protocol ipencap drop"
            ip protocol 4 drop comment "fib saddr . iif oif missing"
          }; }""",
        "unauthorised4",
    ),
    "looks wrong, is right: a loose reverse path filter": Case(
        "table ip f { chain p { type filter hook prerouting priority mangle; fib saddr oif missing drop; }; }"
    ),
    "dropped at the device": Case(
        """table netdev f { chain i { type filter hook ingress device "eth0" priority 0; ip protocol 4 drop; }
          chain j { type filter hook ingress device "cali0" priority 0; drop; }; }""",
        ALL4,
        told=False,
    ),
    "flags of TCP and a client's ports": Case(
        """table inet f { chain i { type filter hook input priority 0;
            tcp flags & (fin|syn|rst|ack) != syn ct state new drop
            tcp sport 0-1023 drop
            ip6 nexthdr tcp tcp flags syn drop
          }; }""",
        "inner6",
    ),
    "jump, return and goto": Case(
        """table inet f {
          chain a { ip saddr 10.40.0.1 return; meta l4proto 4 drop; }
          chain b { meta l4proto 41 return; }
          chain i { type filter hook input priority 0; policy drop;
            jump a
            meta l4proto 4 accept
            goto b
            accept
          }; }""",
        f"unauthorised4 {ALL6} inner4 inner6",
    ),
    "sent to a pod": Case(
        """table ip f {
          chain n { type nat hook prerouting priority dstnat;
            ip daddr 192.0.2.1 tcp dport 80 dnat to 10.67.1.4:8080
          }
          chain i { type filter hook input priority 0; tcp dport { 80, 8080 } drop; }
          chain onward { type filter hook forward priority 0; policy drop; ct status dnat accept; }; }"""
    ),
    "sent to a pod, and dropped before it": Case(
        """table ip f {
          chain n { type nat hook prerouting priority dstnat;
            ip daddr 192.0.2.1 tcp dport 80 dnat to 10.67.1.4:8080
          }
          chain d { type filter hook forward priority 0; ip daddr 10.67.0.0/16 tcp dport 8080 reject; }; }""",
        "inner4",
    ),
    "redirected to another port": Case(
        """table ip f { chain n { type nat hook prerouting priority dstnat; tcp dport 80 redirect to :8080; }
          chain onward { type filter hook forward priority 0; policy drop; }; }"""
    ),
    "looks wrong, is right: dropped for others": Case(
        """table inet f { chain i { type filter hook input priority 0;
            iifname != { "eth0", "ipip0", "ipip60" } drop
            ip daddr != { 10.40.0.2, 192.0.2.1 } drop
            meta l4proto 47 drop
            ip saddr 10.40.0.3-10.40.0.9 drop
            fib daddr type != local drop
            udp dport 80 drop
          }; }"""
    ),
}  # fmt: skip

IPTABLES = {
    "ferm's: policy DROP, directors' networks": Case(
        """-P INPUT DROP
        -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
        -A INPUT -s 10.40.0.0/24,172.16.0.0/12 -p ipencap -j ACCEPT
        -A INPUT -p tcp -m multiport --dports 80,443 -m comment --comment "web -j DROP" -j ACCEPT
        6 -P INPUT DROP
        6 -A INPUT -s fd40::1/128 -p ipv6 -j ACCEPT
        6 -A INPUT -d fd99::1 -p tcp --dport 80 -j ACCEPT""",
        "unauthorised4 unauthorised6",
    ),
    "rejected": Case(
        """-A INPUT -p 4 -m comment --comment "no tunnels" -j REJECT --reject-with icmp-proto-unreachable
        6 -A INPUT -p 41 -j REJECT""",
        f"{ALL4} {ALL6}",
    ),
    "not from others": Case("-A INPUT ! -s 10.40.0.0/24 -p 4 -j DROP", "unauthorised4"),
    "a range of sources": Case(
        """-A INPUT -m iprange --src-range 10.40.0.1-10.40.0.9 -p 4 -j ACCEPT
        -A INPUT -p 4 -j DROP""",
        "unauthorised4",
    ),
    "not tracked": Case(
        """-t raw -A PREROUTING -p 4 -j CT --notrack
        -P INPUT DROP
        -A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT""",
        "inner4",
    ),
    "marks": Case(
        """-t mangle -A PREROUTING -s 10.40.0.1 -j MARK --set-xmark 0x10/0x10
        -A INPUT -p 4 -m mark ! --mark 0x10/0x10 -j DROP""",
        "unauthorised4",
    ),
    "types of addresses": Case(
        """-A INPUT -p 4 -m addrtype --dst-type LOCAL -j ACCEPT
        -A INPUT -p tcp -m addrtype ! --dst-type LOCAL -j DROP
        -A INPUT -p 4 -j DROP"""
    ),
    "chains, RETURN and -g": Case(
        """-N A
        -N B
        -A A -s 10.40.0.1 -j RETURN
        -A A -p 4 -j DROP
        -A B -p tcp -j RETURN
        -A INPUT -j A
        -A INPUT -g B
        -A INPUT -j ACCEPT
        -P INPUT DROP""",
        f"{ALL4} inner4",
    ),
    "a reverse path filter drops what was unwrapped": Case(
        """-t raw -A PREROUTING -m rpfilter --invert -j DROP
        6 -t mangle -A PREROUTING -m rpfilter --validmark --invert -j DROP""",
        "inner4 inner6",
    ),
    "looks wrong, is right: ipip is 94": Case(
        """-A INPUT -p ipip -j DROP
        -A INPUT -p 94 -j DROP
        -A INPUT ! -s 10.40.0.0/24 -p ipip -j DROP"""
    ),
    "all but ipip is dropped": Case("-A INPUT ! -p ipip -j DROP", f"{ALL4} inner4"),
    "strings that look like options": Case(
        """-P INPUT DROP
        -A INPUT -m comment --comment "-j DROP" -j LOG --log-prefix "-s 10.0.0.1 -j DROP"
        -A INPUT -m comment --comment -p -m comment --comment "! -p 4" -p 4 -s 10.40.0.1 -j ACCEPT
        -A INPUT -p udp -m string --algo bm --string "-j ACCEPT" -j ACCEPT
        -A INPUT -p tcp --dport 80 -m comment --comment '-- "web" \\ --' -j ACCEPT""",
        "unauthorised4",
    ),
    "an address that another device has is not local to this one": Case(
        "-A INPUT -m addrtype ! --dst-type LOCAL --limit-iface-in -j DROP", "inner4"
    ),
    "the status and direction of what is new": Case(
        """-A INPUT -p tcp -m conntrack --ctstatus NONE -j DROP
        -A INPUT -p tcp -m conntrack --ctstatus CONFIRMED,ASSURED -j DROP
        -A INPUT -m conntrack --ctdir REPLY -j DROP
        -A INPUT -p tcp -m conntrack ! --ctstatus SEEN_REPLY -j DROP""",
        "inner4",
    ),
    "what is not tracked has no status and no direction": Case(
        """-t raw -A PREROUTING -j NOTRACK
        -A INPUT -m conntrack ! --ctstatus ASSURED -j DROP
        -A INPUT -m conntrack --ctdir ORIGINAL -j DROP
        -A INPUT -p tcp -m conntrack --ctstate UNTRACKED --ctdir REPLY -j DROP""",
        "inner4",
    ),
    "looks wrong, is right: addresses that no client has": Case(
        """-A INPUT -m addrtype --src-type LOCAL -j DROP
        -A INPUT -m addrtype ! --src-type UNICAST -j DROP
        -A INPUT -f -j DROP"""
    ),
    "looks wrong, is right: a loose reverse path filter": Case(
        "-t raw -A PREROUTING -m rpfilter --loose --invert -j DROP"
    ),
    "flags of TCP": Case(
        """-A INPUT -p tcp ! --syn -m conntrack --ctstate NEW -j DROP
        -A INPUT -p tcp --sport 0:1023 -j DROP
        6 -A INPUT -p tcp --syn -j DROP""",
        "inner6",
    ),
    "sent to a pod": Case(
        """-t nat -A PREROUTING -d 192.0.2.1 -p tcp --dport 80 -j DNAT --to-destination 10.67.1.4:8080
        -P FORWARD DROP
        -A FORWARD -d 10.96.0.0/12 -j REJECT
        -A FORWARD -i ipip+ -m conntrack --ctstate DNAT -j ACCEPT
        -A INPUT -p tcp -j DROP"""
    ),
    "sent to a pod, and dropped before it": Case(
        """-t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.67.1.4:8080
        -A FORWARD -d 10.67.1.4 -p tcp --dport 8080 -j DROP""",
        "inner4",
    ),
    "looks wrong, is right: dropped for others": Case(
        """-A INPUT -i cali+ -j DROP
        -A INPUT -p gre -j DROP
        -A INPUT -m conntrack --ctstate INVALID -j DROP
        -A INPUT -p 4 -d 10.40.0.3 -j DROP
        -A INPUT -m pkttype --pkt-type broadcast -j DROP
        -A FORWARD -j DROP
        6 -A INPUT -p 4 -j DROP"""
    ),
}  # fmt: skip
