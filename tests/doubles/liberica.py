"""A double of Liberica's control plane and of its gobgpd, for a lab where neither can be had.

What it really does, as far as Wikimedia's Puppet module and cookbooks show it: it reads ``config.yaml`` when
it starts and on SIGHUP; a file that it cannot use it refuses as a whole, and goes on as before; it tells
``liberica_cp_configuration_reload_timestamp_seconds`` by result on one port, and BGP peers and routes on
another, in Prometheus' text format with numbers as Go prints them, times in whole seconds. Over ``ipvs`` it
makes the destinations of its services forward as ``forward_type`` says, in the kernel's table of its network
namespace; over ``katran`` it touches no table, and nobody's packets.

What is not known of the real one, and so is only assumed: that it edits destinations in place; what
``result`` is called for a reload that failed; whether there is a time of reload before the first one (here
there is none); when it takes up the file's other parts. What it does not do: etcd, health checks, BGP, making
virtual servers (it takes those of its services that are there, with their destinations).

Trouble is a file beside the configuration, ``CONFIG.NAME``: ``deaf`` (a reload is not heard), ``lying`` (it
is told and not made), ``stuck`` (an address that stays as it is), ``idle`` (no BGP session).

    liberica.py start|stop|reload CONFIG

It runs under the system's own Python in a slow guest: so it imports little, and takes of YAML no more than
``to_yaml`` of Puppet makes: mappings by indentation, and no lists.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

CP_PORT, BGP_PORT = 3003, 3010
ANSWER_S = 1.0
METHODS = {"tunnel": "-i", "direct_route": "-g"}
RELOADED = "liberica_cp_configuration_reload_timestamp_seconds"

Values = dict[str, str]


def parse(text: str) -> dict[str, dict[str, Values]]:
    """By section and name: the keys of each mapping; a key of the section itself has the name ''."""
    found: dict[str, dict[str, Values]] = {}
    section = name = ""
    for line in text.splitlines():
        words = line.split("#")[0].rstrip()
        key, _, value = words.strip().partition(": ")
        depth = len(words) - len(words.lstrip())
        if not words or words == "---" or depth > 4:
            continue
        if depth == 0:
            section, name = key.rstrip(":"), ""
            found[section] = {}
        elif depth == 2 and not value:
            name = key.rstrip(":")
            found[section][name] = {}
        else:
            found[section].setdefault(name if depth > 2 else "", {})[key] = value.strip("\"'")
    return found


def address_port(ip: str, port: str) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def go(value: float) -> str:
    """A number as Go's ``strconv`` prints it for Prometheus: from a million on with an exponent."""
    if value < 1e6:
        return f"{value:g}"
    power = len(str(int(value))) - 1
    return f"{value / 10**power:.15g}e+{power:02d}"


class Liberica:
    def __init__(self, config: str) -> None:
        self.config = config
        self.plane = "ipvs"
        self.services: dict[str, Values] = {}
        self.reloads: dict[str, int] = {}
        self.began = time.time()

    def trouble(self, name: str) -> str | None:
        """What stands in the file of this trouble; None when there is none."""
        try:
            with open(f"{self.config}.{name}") as file:
                return file.read().strip()
        except FileNotFoundError:
            return None

    def take_up(self) -> None:
        """Read the file and make it so.

        Raises ``ValueError`` or ``KeyError`` when it cannot be used: then nothing has been changed.
        """
        with open(self.config) as file:
            read = parse(file.read())
        services = {name: values for name, values in read["services"].items() if name}
        for values in services.values():
            float(values["depool_threshold"])
            int(values["port"])
            METHODS[values["forward_type"]]
        self.plane = read["fp"][""]["forwarding_plane"]
        self.services = services
        if self.plane == "ipvs" and self.trouble("lying") is None:
            for values in services.values():
                self.forward(values)

    def forward(self, values: Values) -> None:
        """Make the destinations of one service forward as it says, in place."""
        service = f"-{values.get('protocol', 'tcp')[0]} {address_port(values['ip'], values['port'])}"
        method = METHODS[values["forward_type"]]
        stuck = self.trouble("stuck")
        with os.popen("ipvsadm -Sn") as table:
            lines = [line.split() for line in table if line.startswith(f"-a {service} ")]
        for words in lines:
            if words[5] != method and (stuck is None or not words[4].startswith(f"{stuck}:")):
                os.system(f"ipvsadm -e {service} -r {words[4]} {method} -w {words[7]}")

    def reload(self, _number: int, _frame: object) -> None:
        if self.trouble("deaf") is not None:
            return
        try:
            self.take_up()
            result = "ok"
        except (KeyError, ValueError) as error:
            sys.stderr.write(f"refused: {error!r}\n")
            result = "error"
        self.reloads[result] = int(time.time())

    def cp_metrics(self) -> str:
        lines = [
            "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.",
            "# TYPE process_start_time_seconds gauge",
            f"process_start_time_seconds {go(round(self.began, 2))}",
            f"# HELP {RELOADED} Timestamp of the last configuration reload",
            f"# TYPE {RELOADED} gauge",
            *(f'{RELOADED}{{result="{result}"}} {go(when)}' for result, when in self.reloads.items()),
        ]
        return "\n".join([*lines, ""])

    def bgp_metrics(self) -> str:
        up = self.trouble("idle") is None
        state = "ESTABLISHED" if up else "IDLE"
        routes = len(self.services) if up else 0
        lines = [
            "# HELP bgp_peer_state State of the BGP session with peer and its administrative state",
            "# TYPE bgp_peer_state gauge",
            f'bgp_peer_state{{admin_state="UP",peer="10.10.0.254",session_state="{state}"}} 1',
            "# HELP bgp_routes_advertised Number of routes advertised to peer",
            "# TYPE bgp_routes_advertised gauge",
            f'bgp_routes_advertised{{peer="10.10.0.254",route_family="ipv4-unicast"}} {routes}',
        ]
        return "\n".join([*lines, ""])

    def run(self) -> None:
        self.take_up()
        signal.signal(signal.SIGHUP, self.reload)
        bodies = {listener(CP_PORT): self.cp_metrics, listener(BGP_PORT): self.bgp_metrics}
        while True:
            ready, _, _ = select.select(list(bodies), [], [])
            for bound in ready:
                answer(bound.accept()[0], bodies[bound]())


def listener(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    found.listen(16)
    return found


def answer(connection: socket.socket, body: str) -> None:
    """Answer whatever is asked; only ``/metrics`` is."""
    with connection:
        connection.settimeout(ANSWER_S)
        request = b""
        try:
            while b"\r\n\r\n" not in request and (piece := connection.recv(4096)):
                request += piece
            head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall((head + body).encode())
        except OSError:
            return


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
    Liberica(config).run()


def main() -> int:
    verb, config = sys.argv[1:]
    pid = pid_of(config)
    if verb == "start":
        start(config)
    elif pid is None:
        sys.stderr.write("Unit liberica-cp.service is not active, cannot reload.\n")
        return int(verb == "reload")
    elif verb == "reload":
        os.kill(pid, signal.SIGHUP)
    else:
        os.kill(pid, signal.SIGTERM)
        while pid_of(config) is not None:
            time.sleep(0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main())
