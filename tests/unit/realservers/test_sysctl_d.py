"""sysctl.d as systemd and procps apply it."""

from __future__ import annotations

import pytest

from ferryman.realservers.facts.sysctl_d import SysctlFiles, normal

ALL, DEFAULT, IPIP0 = (f"net/ipv4/conf/{name}/rp_filter" for name in ("all", "default", "ipip0"))
ETC, RUN, LOCAL, USR, OLD = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
GLOB = "net.ipv4.conf.*.rp_filter"


def value(key: str, *files: tuple[str, str], systemd: bool = True) -> str | None:
    """What the files (folder and name, text) give a key; None: they leave it alone."""
    named = {path if path == "/etc/sysctl.conf" else _path(path): text for path, text in files}
    winner = SysctlFiles(named, systemd).winner(key)
    return None if winner is None else winner.value


def _path(short: str) -> str:
    folder, name = short.rsplit("/", 1)
    return f"{folder}/sysctl.d/{name}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", None),
        ("# net.ipv4.conf.ipip0.rp_filter = 0", None),
        ("; net.ipv4.conf.ipip0.rp_filter = 0", None),
        ("net.ipv4.conf.ipip0.rp_filter", None),
        ("net.ipv4.conf.ipip0.rp_filter = 0", "0"),
        ("  net.ipv4.conf.ipip0.rp_filter=0  ", "0"),
        ("net/ipv4/conf/ipip0/rp_filter = 0", "0"),
        ("/net/ipv4/conf/ipip0/rp_filter = 0", "0"),
        ("net//ipv4/conf/ipip0/rp_filter = 0", "0"),
        ("-net.ipv4.conf.ipip0.rp_filter = 0", "0"),
        ("net.ipv4.conf.ipip0.rp_filter = 1\nnet.ipv4.conf.ipip0.rp_filter = 0", "0"),
        (f"{GLOB} = 2", "2"),
        ("net.ipv4.conf.ipip?.rp_filter = 2", "2"),
        ("net.ipv4.conf.[hi]pip0.rp_filter = 2", "2"),
        ("net.ipv4.*.rp_filter = 2", None),
        ("net.ipv6.conf.*.rp_filter = 2", None),
        (f"{GLOB} = 2\nnet.ipv4.conf.ipip*.rp_filter = 0", "0"),
        (f"net.ipv4.conf.ipip*.rp_filter = 0\n{GLOB} = 2", "2"),
        (f"net.ipv4.conf.ipip0.rp_filter = 0\n{GLOB} = 2", "0"),
        (f"{GLOB} = 2\nnet.ipv4.conf.ipip0.rp_filter = 0", "0"),
        (f"{GLOB} = 2\n-net.ipv4.conf.ipip0.rp_filter", None),
        (f"-net.ipv4.conf.ipip0.rp_filter\n{GLOB} = 2", None),
        (f"{GLOB} = 2\n-{GLOB}", None),
        ("net.ipv4.conf.ipip0.rp_filter = 1\n-net.ipv4.conf.ipip0.rp_filter", None),
        ("-net.ipv4.conf.ipip0.rp_filter\nnet.ipv4.conf.ipip0.rp_filter = 1", "1"),
        # What is said again keeps its earlier place, so the glob between stays the last word.
        (f"{GLOB} = 2\nnet.ipv4.conf.ipip*.rp_filter = 0\n{GLOB} = 2", "0"),
        (f"{GLOB} = 2\nnet.ipv4.conf.ipip*.rp_filter = 0\n{GLOB} = 1", "1"),
    ],
)
def test_the_lines_of_one_file_decide_as_systemd_reads_them(text: str, wanted: str | None) -> None:
    assert value(IPIP0, (f"{ETC}/50-x.conf", text)) == wanted


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (f"{ETC}/10-x.conf", f"{USR}/50-default.conf", "second"),
        (f"{USR}/10-x.conf", f"{ETC}/50-default.conf", "second"),
        (f"{ETC}/70-x.conf", f"{USR}/50-default.conf", "first"),
        (f"{ETC}/50-x.conf", f"{RUN}/50-x.conf", "first"),
        (f"{RUN}/50-x.conf", f"{LOCAL}/50-x.conf", "first"),
        (f"{LOCAL}/50-x.conf", f"{USR}/50-x.conf", "first"),
        (f"{USR}/50-x.conf", f"{OLD}/50-x.conf", "first"),
        (f"{ETC}/9-x.conf", f"{ETC}/10-x.conf", "first"),
        (f"{ETC}/a.conf", f"{ETC}/Z.conf", "first"),
        (f"{ETC}/50-x.txt", f"{USR}/10-x.conf", "second"),
    ],
)
def test_files_count_by_their_names_and_hide_those_of_the_same_name(
    first: str, second: str, wanted: str
) -> None:
    texts = [
        (path, f"net.ipv4.conf.ipip0.rp_filter = {word}")
        for path, word in ((first, "first"), (second, "second"))
    ]
    assert value(IPIP0, *texts) == wanted
    assert value(IPIP0, *reversed(texts)) == wanted


def test_an_empty_file_and_a_link_to_dev_null_hide_the_distributions() -> None:
    shipped = (f"{USR}/50-default.conf", f"{GLOB} = 1")
    assert value(IPIP0, shipped) == "1"
    assert value(IPIP0, shipped, (f"{ETC}/50-default.conf", "")) is None


def test_systemd_does_not_read_sysctl_conf_and_procps_reads_it_last() -> None:
    files = ("/etc/sysctl.conf", "net.ipv4.conf.ipip0.rp_filter = 1"), (f"{ETC}/99-x.conf", f"{IPIP0} = 0")
    assert value(IPIP0, *files) == "0"
    assert value(IPIP0, *files, systemd=False) == "1"


def test_procps_keeps_a_value_before_the_minus_and_lets_a_repeated_glob_be_the_last_word() -> None:
    minus = (f"{ETC}/x.conf", "net.ipv4.conf.ipip0.rp_filter = 1\n-net.ipv4.conf.ipip0.rp_filter")
    assert [value(IPIP0, minus, systemd=systemd) for systemd in (True, False)] == [None, "1"]
    again = (f"{ETC}/x.conf", f"{GLOB} = 2\nnet.ipv4.conf.ipip*.rp_filter = 0\n{GLOB} = 2")
    assert [value(IPIP0, again, systemd=systemd) for systemd in (True, False)] == ["0", "2"]


def test_debian_13s_own_file_leaves_all_alone_and_sets_every_device(debian_13: str) -> None:
    shipped = (f"{USR}/50-default.conf", debian_13)
    assert [value(key, shipped) for key in (ALL, DEFAULT, IPIP0)] == [None, "2", "2"]


def test_a_devices_dot_is_a_slash_where_dots_part_the_key() -> None:
    key = "net/ipv4/conf/eth0.100/rp_filter"
    assert [normal(text) for text in ("net.ipv4.conf.eth0/100.rp_filter", key, f"/{key}")] == [key] * 3
    assert value(key, (f"{ETC}/x.conf", "net.ipv4.conf.eth0/100.rp_filter = 0")) == "0"
    assert value(key, (f"{ETC}/x.conf", "net.ipv4.conf.eth0.100.rp_filter = 0")) is None
    assert value(key, (f"{ETC}/x.conf", f"{GLOB} = 2")) == "2"


def test_a_line_is_shown_with_its_file_and_number() -> None:
    files = SysctlFiles({"/etc/sysctl.d/x.conf": f"# ours\n\n{GLOB} = 2\n-net.ipv4.conf.all.rp_filter\n"})
    assert str(files.winner(IPIP0)) == "/etc/sysctl.d/x.conf:3 (net/ipv4/conf/*/rp_filter = 2)"
    assert str(files.winner(ALL)) == "/etc/sysctl.d/x.conf:4 (-net/ipv4/conf/all/rp_filter)"


@pytest.mark.parametrize(("text", "wanted"), [("0", 0), ("2", 2), ("", None), ("off", None), ("0x1", 1)])
def test_a_value_is_the_number_that_the_kernel_makes_of_it(text: str, wanted: int | None) -> None:
    winner = SysctlFiles({"/etc/sysctl.d/x.conf": f"{IPIP0} = {text}"}).winner(IPIP0)
    assert winner is not None
    assert winner.number_wanted == wanted
