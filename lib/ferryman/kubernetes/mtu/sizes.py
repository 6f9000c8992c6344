"""What a path MTU leaves for pods, by the IP version of the outer header: all of it from one arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.encapsulation import IP_HEADER, IPV6_MIN_MTU, max_inner_packet, mss_for_mtu, udp_payload

VERSIONS = (4, 6)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What fits through the tunnel to a realserver that is reached by this IP version."""

    outer: int
    """The IP version of the outer header."""
    path_mtu: int

    @property
    def pod_mtu(self) -> int:
        """The largest MTU of a pod whose full-size packets fit behind the outer header."""
        return max_inner_packet(self.outer, self.path_mtu)

    def mss(self, version: int) -> int:
        """The MSS that such a pod announces for this IP version."""
        return mss_for_mtu(version, self.pod_mtu)

    def udp(self, version: int) -> int:
        """The largest payload of a UDP datagram that needs no fragments."""
        return udp_payload(version, self.pod_mtu)

    @property
    def edns(self) -> int:
        """The largest answer, in bytes, that a DNS server may be asked for over UDP without fragments."""
        return min(self.udp(version) for version in VERSIONS)

    def lines(self) -> list[tuple[str, str]]:
        """Each number, and how it comes about."""
        header, mtu = IP_HEADER[self.outer], self.pod_mtu
        return [
            (f"outer header: {header} bytes", f"an IPv{self.outer} header without options"),
            (f"pod MTU: {mtu}", f"{self.path_mtu} - {header}"),
            *(
                (f"MSS for IPv{version}: {self.mss(version)}", f"{mtu} - {IP_HEADER[version]} - 20 (TCP)")
                for version in VERSIONS
            ),
            *(
                (
                    f"UDP payload over IPv{version}: {self.udp(version)}",
                    f"{mtu} - {IP_HEADER[version]} - 8 (UDP)",
                )
                for version in VERSIONS
            ),
            (f"EDNS buffer size: {self.edns} at most", "the smaller of both payloads"),
            (
                f"EDNS buffer size for any path: {udp_payload(6, IPV6_MIN_MTU)}",
                f"{IPV6_MIN_MTU} - {IP_HEADER[6]} - 8: what every IPv6 path carries",
            ),
        ]


def pod_limit(pod_mtu: int | None, path_mtu: int) -> int:
    """The MTU that no pod of a cluster may exceed: what is wanted, else what fits either outer header."""
    return pod_mtu if pod_mtu is not None else min(Sizes(outer, path_mtu).pod_mtu for outer in VERSIONS)
