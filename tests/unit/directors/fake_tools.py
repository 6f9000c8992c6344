"""ipvsadm, ip, keepalived, a reload and PyBal, as far as the drivers' scripts use them, on a folder.

Run as ``fake_tools.py TOOL ARGUMENT…`` with the director's folder in ``$FAKE_DIRECTOR``: ``rules`` has the
lines of ``ipvsadm -Sn``, ``limits`` those of ``-Ln --thresholds``, ``routes.json`` the host routes,
``lookups.json`` what ``ip route get`` says where there is no host route, ``links.json`` what ``ip link``
says, ``started`` since when PyBal runs. Files named after a fault switch it on: ``frozen``, ``refuse``,
``deaf``, ``stuck``, ``no-stop``, ``no-start``. Tests start these commands hundreds of times, so each imports
what it needs, and no more: pathlib and typing take three times as long as Python itself.
"""
# ruff: noqa: PLC0415, PTH108, PTH110, PTH118, PTH123, PTH207

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HERE = os.environ["FAKE_DIRECTOR"]


def ipvsadm(*words: str) -> int:
    rules = _read("rules").splitlines()
    if words[0] == "-E":
        return _edit_server(rules, f"-A {words[1]} {words[2]} ", " ".join(words[3:]))
    assert words[0] == "-e", words
    head = f"-a {words[1]} {words[2]} -r {words[4]} "
    found = [number for number, line in enumerate(rules) if line.startswith(head)]
    if not found or words[4] in _read("refuse"):
        _complain("No such destination")
        return 2
    tunnel = " --tun-type ipip" if words[5] == "-i" else ""
    rules[found[0]] = f"{head}{words[5]} -w {words[words.index('-w') + 1]}{tunnel}"
    if "-x" not in words:
        _write("limits", "")
    _write("rules", "\n".join(rules) + "\n")
    return 0


def _edit_server(rules: list[str], head: str, options: str) -> int:
    """What is not named is gone; a module that the kernel does not have is what ``-E`` says it is."""
    if options.split()[1] in _read("no-module"):
        _complain("Scheduler or persistence engine not found")
        return 2
    _write("rules", "".join(f"{head}{options}\n" if rule.startswith(head) else f"{rule}\n" for rule in rules))
    return 0


def ip(_family: str, *words: str) -> int:
    import json

    if words == ("link", "show"):
        sys.stdout.write(_read("links.json") or '[{"ifname":"eth0","mtu":1500}]')
        return 0
    routes = json.loads(_read("routes.json") or "[]")
    if words == ("-j", "-force", "-batch", "-"):
        for _, verb, *_, address in map(str.split, sys.stdin):
            shown = _shown(routes, verb, address.split("/")[0])
            sys.stdout.write(json.dumps(shown) + "\n" if shown or verb == "show" else "")
        return 0
    verb, prefix, _, gateway, _, device, *_, protocol, _, metric = words[1:]
    address = prefix.split("/")[0]
    route: dict[str, Any] = {"dst": address, "gateway": gateway, "dev": device, "metric": int(metric)}
    route["protocol"] = protocol
    left = [known for known in routes if known != route]
    if verb == "del" and len(left) == len(routes):
        _complain("RTNETLINK answers: No such process")
        return 2
    _write("routes.json", json.dumps([*left, route] if verb == "replace" else left))
    return 0


def _shown(routes: list[dict[str, Any]], verb: str, address: str) -> list[dict[str, Any]]:
    import json

    exact = sorted(
        (route for route in routes if route["dst"] == address), key=lambda route: route.get("metric", 0)
    )
    if verb == "show":
        return exact
    otherwise = json.loads(_read("lookups.json") or "{}").get(address, [{"dst": address, "dev": "eth0"}])
    return exact[:1] or otherwise


def keepalived(*words: str) -> int:
    import re

    assert words[0] == "-t" and words[-2] == "-f", words  # noqa: PT018  # one command line
    text = _configuration(words[-1])
    unknown = re.search(r"^\s*(bogus\w*)", text, re.MULTILINE)
    if unknown or text.count("{") != text.count("}"):
        _complain(f"(/etc/x: Line 3) Unknown keyword '{unknown[1] if unknown else '}'}'")
        return 5
    return 0


def _configuration(path: str) -> str:
    """The text of a configuration with its includes, through the mounts of this mount namespace."""
    import glob
    import re

    mounts = dict(line.split() for line in _read(os.environ.get("FAKE_MOUNTS", "none")).splitlines())
    text = _read(mounts.get(path, path))
    parts = [text]
    for mask in re.findall(r"^include (\S+)", text, re.MULTILINE):
        parts += [_configuration(path) for path in sorted(glob.glob(mask))]
    return "\n".join(parts)


def reload(config: str) -> int:
    """Make each virtual server scheduled, and each destination forward, as the configuration says."""
    import re

    _write("reloads", _read("reloads") + "reload\n")
    if _there("frozen"):
        return 0
    rules = _read("rules")
    text = re.sub(r"[#!].*", "", _configuration(config))
    for block in re.split(r"\bvirtual_server ", text)[1:]:
        vip, port = block.split()[:2]
        head, *reals = block.split("real_server ")
        schedule = re.search(r"(?:lvs_sched|lb_algo) (\S+)", head)
        if schedule is not None:
            flags = ",".join(sorted(re.findall(r"\b[ms]h-\w+", head)))
            server = f"-A -t {_key(vip, port)} -s {schedule[1]}{' -b ' * bool(flags)}{flags}"
            rules = re.sub(rf"-A -t {re.escape(_key(vip, port))} .*", server, rules)
        for real in reals:
            address = real.split()[0]
            word = r"(?:lvs_method|lb_kind) (\S+)"
            method = (re.findall(word, real) or re.findall(word, head))[-1]
            option, tunnel = {"DR": ("-g", ""), "TUN": ("-i", " --tun-type ipip")}[method]
            named = f"-a -t {_key(vip, port)} -r {_key(address, port)}"
            rules = re.sub(rf"{re.escape(named)} -\w -w (\d+).*", rf"{named} {option} -w \1{tunnel}", rules)
    _write("rules", rules)
    return 0


def pybal(verb: str, config: str) -> int:
    """Start it, which makes every virtual server what its section says, or stop it."""
    import configparser
    import re
    import time

    _write("restarts", _read("restarts") + f"{verb}\n")
    if _there(f"no-{verb}"):
        _complain(f"pybal.service: {verb} failed")
        return 1
    if _there("deaf"):
        return 0
    if verb == "stop":
        if _there("started"):
            os.unlink(_path("started"))
        return 0
    conf = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    conf.read(config)
    rules = _read("rules")
    for section in (conf[name] for name in conf.sections() if name != "global"):
        head = f"-t {_key(section['ip'], section['port'])} "
        flags = f" -b {section['scheduler-flag']}" if section.get("scheduler-flag") else ""
        rules = re.sub(rf"-A {re.escape(head)}.*", f"-A {head}-s {section['scheduler']}{flags}", rules)
        method = "-i -w \\2 --tun-type ipip" if section.getboolean("tunneling") else "-g -w \\2"
        stuck = re.escape(_read("stuck") or "nobody")
        rules = re.sub(rf"(-a {re.escape(head)}-r (?!{stuck}).*) -\w -w (\d+).*", rf"\1 {method}", rules)
    _write("rules", rules)
    _write("started", f"{int(time.time()) + 2}\n")
    return 0


def _key(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _path(name: str) -> str:
    return os.path.join(HERE, name)


def _there(name: str) -> bool:
    return os.path.exists(_path(name))


def _read(name: str) -> str:
    if not _there(name):
        return ""
    with open(_path(name), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _write(name: str, text: str) -> None:
    with open(_path(name), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
