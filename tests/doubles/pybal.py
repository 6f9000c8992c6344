"""A double of PyBal, for a lab where the real one (Python 2, Twisted) cannot run.

What it really does, as PyBal does it: it reads ``pybal.conf`` when it starts and never again; for each
section it deletes the virtual server and adds it, then adds the pool's servers, all through ``ipvsadm -R``
whose exit status it ignores (``pybal/ipvs.py``); it connects to the servers' own addresses and depools those
that do not take it, within the depool threshold; it answers ``/alerts``, ``/pools``, ``/pools/NAME`` and
``/metrics`` in the formats of ``pybal/instrumentation.py``; it withdraws its routes when it stops.

What it does not do: speak BGP (a session is a command that changes the router's route, some time later), nor
any other monitor, etcd, or DNS. Keys of ``[global]`` that PyBal does not have begin with ``double-``:
``double-announce`` and ``double-withdraw`` (commands), ``double-router-delay`` (seconds until a router acts),
``double-start-delay`` (seconds that the interpreter takes), ``double-stuck`` (an address that is added
direct-routed, whatever the file says).

    pybal.py start|stop|restart CONFIG     its process id is in CONFIG.pid, written when it started

It runs under the system's own Python in a slow guest: so it imports little.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time

Values = dict[str, str]

MONITOR_S = 4.0
CONNECT_S = 1.0


def parse(text: str) -> dict[str, Values]:
    """The sections of a configuration; a small part of what ConfigParser takes."""
    sections: dict[str, Values] = {}
    values: Values = {}
    for line in (each.split(" ;")[0].strip() for each in text.splitlines()):
        if line.startswith("["):
            values = sections.setdefault(line.strip("[]"), {})
        elif line and line[0] not in "#;":
            key, _, value = line.partition("=")
            values[key.strip().lower()] = value.strip()
    return sections


def yes(value: str) -> bool:
    return value.lower() in ("1", "yes", "true", "on")


class Server:
    def __init__(self, host: str, address: str, weight: int, enabled: bool) -> None:
        self.host, self.address, self.weight, self.enabled = host, address, weight, enabled
        self.up = self.pooled = enabled

    def state(self) -> dict[str, object]:
        return {"pooled": self.pooled, "weight": self.weight, "up": self.up, "enabled": self.enabled}

    @property
    def words(self) -> str:
        return (
            f"{'enabled' if self.enabled else 'disabled'}/{'up' if self.up else 'down'}/"
            f"{'pooled' if self.pooled else 'not pooled'}"
        )


class Pool:
    """One section: a virtual service, and its servers."""

    def __init__(self, name: str, values: Values, stuck: str) -> None:
        self.name, self.values, self.stuck = name, values, stuck
        self.port = int(values["port"])
        self.family = socket.AF_INET6 if ":" in values["ip"] else socket.AF_INET
        self.threshold = float(values.get("depool-threshold", "0.5"))
        self.service = f"-{values['protocol'][0]} {self.address(values['ip'])}"
        self.servers: list[Server] = []

    def address(self, ip: str) -> str:
        return f"[{ip}]:{self.port}" if ":" in ip else f"{ip}:{self.port}"

    def create(self) -> None:
        flags = f" -b {self.values['scheduler-flag']}" if self.values.get("scheduler-flag") else ""
        restore([f"-D {self.service}", f"-A {self.service} -s {self.values['scheduler']}{flags}"])

    def assign(self) -> None:
        """Read the pool's file, and add everybody who is enabled: a server counts as up until it is not."""
        path = self.values["config"].removeprefix("file://")
        with open(path) as file:
            entries = [
                json.loads(line.replace("'", '"').replace("True", "true")) for line in file if line.strip()
            ]
        for entry in entries:
            address = str(socket.getaddrinfo(entry["host"], None, self.family)[0][4][0])
            self.servers.append(Server(entry["host"], address, entry["weight"], entry["enabled"]))
        restore([self.add(server) for server in self.servers if server.enabled])

    def add(self, server: Server) -> str:
        tunnels = yes(self.values.get("tunneling", "no")) and server.address != self.stuck
        method = "-i" if tunnels else "-g"
        return f"-a {self.service} -r {self.address(server.address)} {method} -w {server.weight}"

    def monitor(self) -> None:
        for server in self.servers:
            was, server.up = server.up, server.enabled and takes_connections(server.address, self.port)
            if server.up and not server.pooled and server.enabled:
                server.pooled = True
                restore([self.add(server)])
            elif was and not server.up and self.may_depool():
                server.pooled = False
                restore([f"-d {self.service} -r {self.address(server.address)}"])

    def may_depool(self) -> bool:
        up = sum(1 for server in self.servers if server.up)
        return up >= len(self.servers) * self.threshold

    @property
    def pooled_down(self) -> list[Server]:
        return [server for server in self.servers if server.pooled and not server.up]

    @property
    def too_small(self) -> bool:
        return len(self.servers) < len(self.servers) * self.threshold + 1


def takes_connections(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), CONNECT_S).close()
    except OSError:
        return False
    return True


def restore(lines: list[str]) -> None:
    """``ipvsadm -R``, whose exit status nobody looks at."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(reading, 0)
        os.close(writing)
        os.execvp("ipvsadm", ["ipvsadm", "-R"])
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        pipe.write("".join(f"{line}\n" for line in lines))
    os.waitpid(child, 0)


class Instrumentation:
    """Answers HTTP requests as PyBal's instrumentation does: pools, alerts and metrics."""

    def __init__(self, pools: list[Pool], settings: Values) -> None:
        self.pools = {pool.name: pool for pool in pools}
        self.settings = settings
        self.established = False

    def answer(self, path: str, as_json: bool) -> tuple[int, str]:
        parts = [part for part in path.split("/") if part]
        if parts == ["alerts"]:
            return 200, self.alerts(as_json)
        if parts == ["metrics"]:
            return 200, self.metrics()
        if parts == ["pools"]:
            return 200, json.dumps(list(self.pools)) if as_json else "\n".join(self.pools) + "\n"
        if parts[:1] == ["pools"] and len(parts) == 2 and parts[1] in self.pools:
            servers = self.pools[parts[1]].servers
            if as_json:
                return 200, json.dumps({server.host: server.state() for server in servers})
            return 200, "".join(f"{server.host}:\t{server.words}\n" for server in servers)
        message = "The desired url was not found"
        return 404, json.dumps({"error": message}) if as_json else message

    def alerts(self, as_json: bool) -> str:
        status, message = "ok", ""
        critical = {}
        for pool in self.pools.values():
            if pool.pooled_down:
                hosts = ", ".join(server.host for server in pool.pooled_down)
                critical[pool.name] = f"Servers {hosts} are marked down but pooled"
            elif pool.too_small:
                status = "warning"
                message += f"Pool {pool.name} is too small to allow depooling. "
        if critical:
            status, message = "critical", "; ".join(f"{name}: {why}" for name, why in critical.items())
        if status == "ok":
            message = "All pools are healthy"
        return json.dumps({"status": status, "msg": message}) if as_json else f"{status.upper()} - {message}"

    def metrics(self) -> str:
        speaks = yes(self.settings.get("bgp", "no"))
        lines = ["# HELP pybal_bgp_enabled BGP Enabled", "# TYPE pybal_bgp_enabled gauge"]
        lines.append(f"pybal_bgp_enabled {float(speaks)}")
        if speaks:
            labels = (
                f'local_asn="{self.settings["bgp-local-asn"]}",peer="{self.settings["bgp-peer-address"]}"'
            )
            lines.append("# TYPE pybal_bgp_session_established gauge")
            lines.append(f"pybal_bgp_session_established{{{labels}}} {float(self.established)}")
        return "\n".join([*lines, ""])

    def serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(CONNECT_S)
            request = b""
            try:
                while b"\r\n\r\n" not in request and (piece := connection.recv(4096)):
                    request += piece
                path = request.split()[1].decode()
                as_json = b"\r\naccept: application/json" in request.lower()
                status, body = self.answer(path, as_json)
                head = f"HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall((head + body).encode())
            except (OSError, IndexError):
                return


def later(delay_s: float, command: str) -> None:
    """Run a command after a while, in a process that outlives this one."""
    if command and os.fork() == 0:
        os.setsid()
        os.closerange(3, 256)  # the next PyBal listens on the same port
        time.sleep(delay_s)
        os.execvp("sh", ["sh", "-c", command])


def run(config: str) -> None:
    with open(config) as file:
        sections = parse(file.read())
    settings = sections.pop("global", {})
    router_s = float(settings.get("double-router-delay", "0.5"))
    time.sleep(float(settings.get("double-start-delay", "0")))
    pools = [Pool(name, values, settings.get("double-stuck", "")) for name, values in sections.items()]
    for pool in pools:
        pool.create()
        pool.assign()
    instrumentation = Instrumentation(pools, settings)

    def stop(_number: int, _frame: object) -> None:
        if instrumentation.established:
            later(router_s, settings.get("double-withdraw", ""))
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listening = [listener(family, int(settings.get("instrumentation_port", "9090"))) for family in FAMILIES]
    began = next_check = time.monotonic()
    while True:
        ready, _, _ = select.select(listening, [], [], 0.5)
        for bound in ready:
            instrumentation.serve(bound.accept()[0])
        now = time.monotonic()
        if yes(settings.get("bgp", "no")) and not instrumentation.established and now > began + router_s:
            instrumentation.established = True
            later(0, settings.get("double-announce", ""))
        if now >= next_check:
            next_check = now + MONITOR_S
            for pool in pools:
                pool.monitor()


FAMILIES = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def listener(family: socket.AddressFamily, port: int) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    found.bind((FAMILIES[family], port))
    found.listen(16)
    return found


def pid_of(config: str) -> int | None:
    try:
        with open(f"{config}.pid") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/stat") as file:
            state = file.read().rpartition(") ")[2][0]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else pid


def start(config: str) -> None:
    """Go into the background, as the service manager would do it; a second start does nothing."""
    if pid_of(config) is not None or os.fork():
        return
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDWR)
    log = os.open(f"{config}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for target, source in enumerate((nothing, log, log)):
        os.dup2(source, target)
    os.closerange(3, 256)
    with open(f"{config}.pid", "w") as file:
        file.write(str(os.getpid()))
    run(config)


def stop(config: str) -> None:
    while (pid := pid_of(config)) is not None:
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.05)


def main() -> None:
    verb, config = sys.argv[1:]
    if verb in ("stop", "restart"):
        stop(config)
    if verb in ("start", "restart"):
        start(config)


if __name__ == "__main__":
    main()
