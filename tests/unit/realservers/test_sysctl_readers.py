"""What is made of sysctl.d's files is what the real systemd-sysctl and procps' sysctl make of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from ferryman.realservers.facts.kernel_number import kernel_number
from ferryman.realservers.facts.sysctl_d import SysctlFiles
from unit.realservers.sysctl_readers import DEVICES, READERS, UNTOUCHED, Reader, applied, require, written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NUMBERS = (
    *("0", "1", "2", "3", "-1", "0x2", "0X2", "-0x1", "02", "08", "0x", "00", "0b1", "0o1"),
    *(
        "1   # anti-spoofing",
        "1 ;",
        "1;",
        "1,2",
        "1.0",
        "1st",
        "1\tx",
        "1\r",
        "1\v",
        "\v1",
        "\f2",
        " 1",
        "\t2",
    ),
    *('"1"', "'1'", "+1", "- 1", "--1", "", " ", "\u00a01", "1\u00a0", "\ufeff1", "off", "yes"),
    *("2147483647", "2147483648", "-2147483648", "-2147483649", "4294967297", "18446744073709551617"),
    *("00000000000000000001", "000000000000000000001", "-0000000000000000001", "-00000000000000000001"),
)
ALL, LO = "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.lo.rp_filter"
GLOB = "net.ipv4.conf.*.rp_filter"
FILE = "/etc/sysctl.d/60-x.conf"
SHIPPED = "/usr/lib/sysctl.d/50-default.conf"

FILES: Mapping[str, Mapping[str, bytes | None]] = {
    "a comment behind the value": {FILE: f"{ALL} = 1   # anti-spoofing, ticket 4711\n".encode()},
    "quotes": {FILE: f'{ALL} = "1"\n{LO} = 1\n'.encode()},
    "a value that is refused leaves no earlier one": {FILE: f"{ALL} = 1\n{ALL} = 1st\n".encode()},
    "a glob that is refused leaves the glob before it": {
        FILE: f"{GLOB} = 2\n*.ipv4.conf.*.rp_filter = x".encode()
    },
    "a glob that is refused after another": {FILE: f"{GLOB} = 2\nnet.ipv4.conf.l*.rp_filter = x\n".encode()},
    "octal and hexadecimal": {FILE: f"{ALL} = 01\n{LO} = 0x2\n".encode()},
    "no-break spaces": {FILE: f"{ALL} =\u00a01\n{LO} = 1\u00a0\n".encode()},
    "nothing behind the sign": {FILE: f"{ALL} =\n{LO} = \n".encode()},
    "CRLF": {FILE: f"{ALL} = 1\r\n{LO} = 2\r\n".encode()},
    "CR alone": {FILE: f"{ALL} = 1\r{LO} = 2\r".encode()},
    "a byte order mark": {FILE: f"\ufeff{ALL} = 1\n{LO} = 1\n".encode()},
    "no newline at the end": {FILE: f"{ALL} = 1".encode()},
    "vertical tabs and form feeds": {FILE: f"{ALL} = 1\v\n\f{LO} = 2\n".encode()},
    "other ends of line of Unicode": {FILE: f"{ALL} = 1\u2028{LO} = 2\n#\x85{LO} = 1\n".encode()},
    "no continuation": {FILE: f"{ALL} = \\\n1\n{LO} = 1 \\\n2\n".encode()},
    "comments of both kinds": {FILE: f"# {ALL} = 1\n; {LO} = 1\n  # {LO} = 1\n".encode()},
    "capitals are other names": {FILE: b"net.IPv4.conf.all.rp_filter = 1\nnet.ipv4.conf.LO.rp_filter = 1\n"},
    "slashes": {FILE: b"net/ipv4/conf/eth0.100/rp_filter = 1\n/net/ipv4/conf/all/rp_filter=2\n"},
    "a dot in a device's name": {FILE: b"net.ipv4.conf.eth0/100.rp_filter = 1\n"},
    "a dot in a device's name, wrong": {FILE: b"net.ipv4.conf.eth0.100.rp_filter = 1\n"},
    "needless slashes and a glob": {FILE: f"net//ipv4/conf/lo/rp_filter = 1\n{GLOB} = 2\n".encode()},
    "a slash at the end": {FILE: f"{ALL}. = 1\n".encode()},
    "two dashes": {FILE: f"--{ALL} = 1\n- {LO} = 1\n".encode()},
    "a dash forgives": {FILE: f"-{ALL} = 1\n".encode()},
    "excluded from a glob": {FILE: f"{GLOB} = 1\n-{ALL}\n".encode()},
    "excluded after its own value": {FILE: f"{ALL} = 1\n-{ALL}\n".encode()},
    "spelt out before a glob": {FILE: f"{ALL} = 0\n{GLOB} = 1\n".encode()},
    "the same glob again": {FILE: f"{GLOB} = 2\nnet.ipv4.conf.l*.rp_filter = 0\n{GLOB} = 2\n".encode()},
    "a set of letters": {FILE: b"net.ipv4.conf.[!a]*.rp_filter = 1\n"},
    "no sign": {FILE: f"{ALL} 1\n{LO}: 1\n".encode()},
    "a mask": {FILE: None, "/usr/lib/sysctl.d/60-x.conf": f"{ALL} = 1\n".encode()},
    "an empty file hides": {FILE: b"", "/usr/lib/sysctl.d/60-x.conf": f"{ALL} = 1\n".encode()},
    "etc before run": {FILE: f"{ALL} = 1\n".encode(), "/run/sysctl.d/60-x.conf": f"{ALL} = 2\n".encode()},
    "run before local": {
        "/run/sysctl.d/60-x.conf": f"{ALL} = 1\n".encode(),
        "/usr/local/lib/sysctl.d/60-x.conf": f"{ALL} = 2\n".encode(),
    },
    "by name over folders": {FILE: f"{ALL} = 1\n".encode(), SHIPPED: f"{ALL} = 2\n".encode()},
    "a later name of the distribution": {
        "/etc/sysctl.d/10-x.conf": f"{ALL} = 1\n".encode(),
        SHIPPED: f"{ALL} = 2\n".encode(),
    },
    "sysctl.conf alone": {"/etc/sysctl.conf": f"{ALL} = 1\n".encode()},
    "sysctl.conf by its link": {
        "/etc/sysctl.conf": f"{ALL} = 1\n".encode(),
        "/etc/sysctl.d/99-sysctl.conf": b"-> ../sysctl.conf",
        "/etc/sysctl.d/99-z.conf": f"{ALL} = 2\n".encode(),
    },
    "another ending": {"/etc/sysctl.d/60-x.conf.dpkg-old": f"{ALL} = 1\n".encode()},
    "hidden": {"/etc/sysctl.d/.60-x.conf": f"{ALL} = 1\n".encode()},
}


def foretold(reader: Reader, files: Mapping[str, bytes | None]) -> Mapping[str, int]:
    """What the product makes of the files."""
    texts: dict[str, str] = {}
    for path, text in files.items():
        linked = files["/etc/sysctl.conf"] if text is not None and text.startswith(b"-> ") else text
        texts[path] = (linked or b"").decode()
    known = SysctlFiles(texts, systemd=reader.systemd)
    lines = {device: known.effective(f"net/ipv4/conf/{device}/rp_filter") for device in DEVICES}
    numbers = {device: None if line is None else line.number_wanted for device, line in lines.items()}
    return {device: UNTOUCHED if number is None else number for device, number in numbers.items()}


def test_a_number_is_what_the_real_kernel_makes_of_it(tmp_path: Path) -> None:
    require(*READERS)
    wanted = {text: kernel_number(text) for text in NUMBERS}
    assert written(tmp_path, NUMBERS) == {text: UNTOUCHED if n is None else n for text, n in wanted.items()}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
@pytest.mark.parametrize("name", FILES)
def test_the_files_are_read_as_the_real_program_reads_them(tmp_path: Path, reader: Reader, name: str) -> None:
    require(reader)
    assert foretold(reader, FILES[name]) == applied(tmp_path, reader, FILES[name])


KEYS = (
    *(ALL, LO, GLOB, "net/ipv4/conf/all/rp_filter", "net.ipv4.conf.eth0/100.rp_filter"),
    *("net.ipv4.conf.eth*.rp_filter", "net/ipv4/conf/[!a]*/rp_filter", "net..ipv4.conf.all.rp_filter"),
    *("net.ipv4.conf.default.rp_filter", "net.ipv4.*.*.rp_filter", "net/ipv4/conf.all.rp_filter"),
)
ENDS = ("\n", "\n", "\n", "\r\n", "\n\n", "\v\n", "\x85", "\u2028", "\r", "")
NAMES = (
    "10-a.conf",
    "50-b.conf",
    "60-c.conf",
    "99-sysctl.conf",
    "Z.conf",
    "z.conf",
    "a b.conf",
    "x.conf.bak",
)
PLACES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")


def made_up(chance: random.Random) -> dict[str, bytes | None]:
    """Some files with lines of every kind."""

    def line() -> str:
        before = chance.choice(("", "", "", "-", "- ", " ", "\t", "#", ";", "--", "\v"))
        sign = chance.choice(("=", " = ", " =", "", " ", ": ", "\t=\t"))
        return before + chance.choice(KEYS) + sign + chance.choice(NUMBERS) + chance.choice(ENDS)

    files: dict[str, bytes | None] = {}
    for _ in range(chance.choice((1, 1, 2, 3))):
        path = f"{chance.choice(PLACES)}/{chance.choice(NAMES)}"
        text = "".join(line() for _ in range(chance.randint(1, 4)))
        files[path] = None if chance.random() < 0.1 else text.encode()
    if chance.random() < 0.3:
        files["/etc/sysctl.conf"] = line().encode()
    return files


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_files_that_are_made_up_are_read_as_the_real_program_reads_them(
    tmp_path: Path, reader: Reader
) -> None:
    require(reader)
    for seed in range(25):
        files = made_up(random.Random(seed))
        assert foretold(reader, files) == applied(tmp_path, reader, files), files
