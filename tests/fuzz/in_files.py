"""What stands in files: inventory, configuration, catalog, SSH's files, tapes, scenarios, the journal."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ferryman.catalog.flip import encapsulated, flip
from ferryman.catalog.reschedule import Rescheduled
from ferryman.config.load import load
from ferryman.configfile import cookbook_folders, inventory_folder
from ferryman.errors import FerrymanError
from ferryman.hosts.certificates import Certificate
from ferryman.hosts.key_files import read_certificates, read_key
from ferryman.hosts.known_hosts import KnownHosts
from ferryman.hosts.ssh_config import SshConfigFile
from ferryman.inventory.linter import lint
from ferryman.inventory.load import Inventory
from ferryman.ipvs.table import from_json, to_json
from ferryman.management.puppet import _number, _summary
from ferryman.rehearsal.judging import Known, Parsed
from ferryman.rehearsal.reading import read as read_scenarios
from ferryman.state.records import Run, faults
from ferryman.tape.file import member
from ferryman.tape.file import read as read_tape
from fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
INVENTORY = ROOT / "inventory"
TEXTS = {str(file.relative_to(INVENTORY)): file.read_text() for file in INVENTORY.rglob("*.yaml")}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJN5cPFCBAeTIDBV0nbKnMgXUnNrDGA8CmqRDqJdZxLn root@web1\n"
KNOWN_HOSTS = (
    f"web1,10.10.0.21 {KEY}@cert-authority *.example.org {KEY}@revoked * {KEY}"
    f"|1|q0b6Qz0dZ0mQ9rIYgGXx8lQ9nq0=|0bC= {KEY}"
)
SSH_CONFIG = """\
Host web* !web9
    HostName %h.example.org
    User root
    Port 2222
    IdentityFile ~/.ssh/id_%r
    ProxyJump bastion:22,user@other
Match host lvs1 exec "true"
    ProxyCommand nc %h %p
Host *
    UserKnownHostsFile ~/.ssh/known_hosts /etc/ssh/k
"""
PRIVATE = """\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
-----END OPENSSH PRIVATE KEY-----
"""
YAML_WORDS = (
    "&a",
    "*a",
    "<<: *a",
    "- ",
    "? ",
    ": ",
    "!!int ''",
    "!!bool x",
    "[",
    "{",
    "|",
    ">",
    "'",
    "---",
    "1:20",
    "0o17",
    "~",
    ".nan",
)
FOLDER = Path(
    tempfile.mkdtemp(prefix="ferryman-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
)
REQUESTED = (("web", "lab"), ("k8s-ingress-staging", "lab"))


def _bytes(text: str) -> bytes:
    """A text as the bytes of a file; lone surrogates are the bytes that are no UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _inventory(name: str) -> Callable[[str], object]:
    def read(text: str) -> object:
        folder = FOLDER / "inventory"
        (folder / "nodes").mkdir(parents=True, exist_ok=True)
        for other, content in TEXTS.items():
            (folder / other).write_bytes(_bytes(text) if other == name else content.encode())
        found = list(map(str, lint(folder)))
        inventory = Inventory.load(folder)
        for service, site in REQUESTED:
            with suppress(FerrymanError):
                inventory.service(service, site, resolve=lambda *_: ())
        with suppress(FerrymanError):
            dict(inventory.host_addresses())
        with suppress(FerrymanError):
            dict(inventory.clusters)
        return found, inventory.names, inventory.sites, inventory.hosts

    return read


def _in_file(
    name: str, read: Callable[[Path], object], encode: Callable[[str], bytes] = _bytes
) -> Callable[[str], object]:
    file = FOLDER / name

    def read_text(text: str) -> object:
        file.write_bytes(encode(text))
        return read(file)

    return read_text


CATALOG = "service::catalog:\n" + TEXTS["services.yaml"][TEXTS["services.yaml"].index("  web:") :]
"""The entry of one service alone: an edit of it is proved by reading the whole text twice."""


def _catalog(text: str) -> object:
    content = _bytes(text)
    with suppress(FerrymanError):
        encapsulated(content, "web", "lab")
    with suppress(FerrymanError):
        Rescheduled("web", "lab", "mh", ("mh-port",)).made(content, name="services.yaml")
    there = flip(content, "web", "lab", "ipip")
    return flip(there, "web", "lab", "direct")


def _configuration(file: Path) -> object:
    """The configuration, after what the command line reads of it before."""
    with suppress(FerrymanError):
        inventory_folder(file)
    return cookbook_folders(file), load(file)


def _known(file: Path) -> object:
    """What is asked of known_hosts for a host, by its name, by its address, or at another port."""
    known = KnownHosts.load(file)
    names = ("web1", "10.10.0.21", "[web1.example.org]:2222", "fd10::21")
    return known.plain(names), known.authorities(names), known.marked("@revoked", names)


def _certificate(text: str) -> object:
    return Certificate.parse(text.encode("latin-1", "replace"))


ROW = {
    "id": "r",
    "cookbook": "migrate",
    "arguments": '{"a":1}',
    "operator": "root",
    "reason": "",
    "task": "",
    "dry_run": 0,
    "version": "0",
    "plan": '["a"]',
    "fingerprint": "",
    "started": "2026-01-01T00:00:00Z",
    "ended": None,
    "outcome": None,
    "exit_code": None,
    "ending": None,
    "records": 1,
    "head": "",
    "seal": "",
    "alive_at": "",
    "alive_records": 0,
    "host": "h",
    "pid": 1,
    "pid_started": "1",
    "boot_id": "b",
}


def _journal(text: str) -> object:
    """A journal's row and record whose fields somebody else wrote."""
    run = Run.from_row(
        {**ROW, **dict.fromkeys(("arguments", "plan", "ended", "records", "pid", "host"), text)}
    )
    return faults(run, [("r", text, text, text, text, text, text, text)])


def _table(text: str) -> object:
    """An IPVS table in a journal's record; whatever is wrong with it is a ValueError to whoever resumes."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # the journal itself says that such a record cannot be read
        return None
    try:
        return to_json(from_json(value))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _puppet(text: str) -> object:
    """What is looked up in the summary of an agent's run."""
    summary = _summary(text)
    return [_number(summary, table, key) for table in ("resources", "time") for key in ("failed", "last_run")]


SCENARIO = next((ROOT / "scenarios").rglob("*.yaml"))
KNOWN = Known(services=["web", "static"], parse=lambda _: Parsed())
TAPE = ROOT / "tests" / "tapes" / "refused-vip.tape"
TAPE_TEXT = "\n".join(gzip.decompress(TAPE.read_bytes()).decode().splitlines()[:12])

TARGETS: tuple[Target, ...] = (
    *(
        Target(f"inventory-{Path(name).parts[0]}", _inventory(name), (content[:3000],), YAML_WORDS, share=1)
        for name, content in sorted(TEXTS.items())
    ),
    Target("catalog-edit", _catalog, (CATALOG,), (*YAML_WORDS, "ipip_encapsulation: [lab]", "\r\n"), share=1),
    Target(
        "ferryman.toml",
        _in_file("ferryman.toml", _configuration),
        ((ROOT / "ferryman.toml").read_text(),),
        (
            'state = "etcd://a:b@h:1/x"',
            "[etcd]",
            "[[hooks.webhook]]",
            "url =",
            "[ssh]",
            "jump = ['a']",
            "[watch]",
            "1e400",
            "inf",
            "nan",
            '"""',
        ),
    ),
    Target(
        "known_hosts",
        _in_file("known_hosts", _known),
        (KNOWN_HOSTS,),
        ("|1|", "@cert-authority", "[h]:22", "*", "!"),
    ),
    Target(
        "ssh_config",
        _in_file(
            "ssh_config", lambda file: SshConfigFile.load(file, required=True).host("web1", user="u", port=1)
        ),
        (SSH_CONFIG,),
        (
            "Include ssh_config",
            "Host",
            "Match all",
            "Match final",
            "ProxyJump none",
            "%%",
            "%C",
            "~",
            "=",
            '"',
        ),
    ),
    Target("key-file", _in_file("key", read_key), (KEY, PRIVATE)),
    Target(
        "certificates",
        _in_file("key-cert.pub", read_certificates),
        (KEY,),
        ("ssh-ed25519-cert-v01@openssh.com",),
    ),
    Target(
        "certificate",
        _certificate,
        (
            "\0\0\0\x20ssh-ed25519-cert-v01@openssh.com\0\0\0\x20"
            + "n" * 32
            + "\0\0\0\x20"
            + "k" * 32
            + "\0" * 60,
        ),
        refuses=ValueError,
    ),
    Target(
        "tape",
        _in_file("a.tape", read_tape, lambda text: member(_bytes(text))),
        (TAPE_TEXT,),
        ('{"$tuple":', '{"$ip":"::"}', '"kind"'),
        share=1,
    ),
    Target(
        "scenario",
        _in_file("s.yaml", lambda file: read_scenarios([file], KNOWN)),
        (SCENARIO.read_text(),),
        (*YAML_WORDS, "kill: run", "at: after step 3", "expect:"),
        share=1,
    ),
    Target("journal", _journal, ('{"a": 1}', "[1]", "7", "x")),
    Target(
        "journal-table",
        _table,
        (
            json.dumps(
                [
                    {
                        "protocol": "tcp",
                        "address": "10.99.0.1",
                        "port": 80,
                        "scheduler": "wrr",
                        "flags": [],
                        "destinations": [],
                    }
                ]
            ),
        ),
    ),
    Target(
        "puppet-summary",
        _puppet,
        ("version:\n  config: abc\n  puppet: 7\nresources:\n  failed: 0\ntime:\n  last_run: 1700000000\n",),
        YAML_WORDS,
    ),
)
