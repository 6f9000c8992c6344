"""Realservers for whole exchanges: a tunnel's far end, and servers behind it, in their own network namespace.

Kernels without ipip have the tunnel's end here in user space: raw sockets take IP protocols 4 and 41, and two
TUN devices hand the inner packets to the kernel, whose firewall, connection tracking and TCP are real.

Usage: exchange_far_end.py VIP VIP6 CERTIFICATE. Serves on both VIPs, by port: 80 HTTP, 443 HTTP in TLS,
81 a server that never answers, 82 one that closes without a word, 83 one that resets in mid-answer,
84 a banner, 85 no HTTP, 86 one that does not read, 87 answers longer than anybody reads.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
IPPROTO_IPV6_IN_IP = 41
IPV4_HEADER = 20
BODY = bytes(20_000)
ENOUGH_S = 60


def tunnel(name: str) -> int:
    opened = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(opened, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "up", "mtu", "9000"], check=True)
    return opened


def whole_request(connection: socket.socket) -> bytes:
    """The request with its body."""
    request = b""
    while b"\r\n\r\n" not in request:
        piece = connection.recv(65_536)
        if not piece:
            return request
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
    while len(body) < length and (piece := connection.recv(65_536)):
        body += piece
    return head


def http(connection: socket.socket) -> None:
    whole_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)


def silent(connection: socket.socket) -> None:
    whole_request(connection)
    time.sleep(ENOUGH_S)


def wordless(connection: socket.socket) -> None:
    whole_request(connection)


def resetting(connection: socket.socket) -> None:
    whole_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + bytes(5000))
    time.sleep(0.2)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def banner(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example.org ESMTP\r\n")
    connection.recv(1)


def no_http(connection: socket.socket) -> None:
    connection.sendall(b"\x1b[2JSSH-2.0-\x00\xff\r\n")
    whole_request(connection)


def unreading(connection: socket.socket) -> None:
    time.sleep(ENOUGH_S)


def endless(connection: socket.socket) -> None:
    whole_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(65_536))


SERVERS = {
    80: http,
    81: silent,
    82: wordless,
    83: resetting,
    84: banner,
    85: no_http,
    86: unreading,
    87: endless,
    443: http,
}


def serve(address: str, port: int, context: ssl.SSLContext) -> None:
    listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400 if ":" in address else 1440)
    if port == 86:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    listening.bind((address, port))
    listening.listen(512)

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if port == 443:
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                SERVERS[port](connection)

    def accept() -> None:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def main(vip: str, vip6: str, certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    for port in SERVERS:
        serve(vip, port, context)
        serve(vip6, port, context)
    four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
    six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_IPV6_IN_IP)
    ipip0, ipip60 = tunnel("ipip0"), tunnel("ipip60")
    print("ready", flush=True)  # noqa: T201  # the test waits for this line
    while True:
        ready, _, _ = select.select([four, six], [], [])
        if six in ready:
            os.write(ipip60, six.recv(65_536))  # an IPv6 raw socket leaves the outer header out
        if four in ready:
            os.write(ipip0, four.recv(65_536)[IPV4_HEADER:])


if __name__ == "__main__":
    main(*sys.argv[1:])
