"""Files in whatever state: ssh_config, certificates, key files; only our own errors come out."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferryman.config import SshConfig
from ferryman.config.jump import Jump
from ferryman.errors import FerrymanError
from ferryman.hosts.certificates import Certificate
from ferryman.hosts.key_files import read_certificates, read_key
from ferryman.hosts.patterns import any_matches, matches
from ferryman.hosts.route import Routes
from ferryman.hosts.ssh_config_file import split
from tools import require_tool

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = r"""
Host Match Include HostName User Port ProxyJump ProxyCommand IdentityFile IdentityAgent UserKnownHostsFile
IgnoreUnknown Ciphers RequiredRSASize PubkeyAuthentication IdentitiesOnly web1 * !web1 ? all host exec
originalhost none yes 22 99999999999 ² %h %% % ${HOME} ${NO} ~/x ~no/x a@b:22 -x +x ^x = # \ " '
"""
WORDS = st.sampled_from(_WORDS.split())
LINES = st.lists(st.lists(WORDS | st.text(max_size=4), max_size=5).map(" ".join), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_whatever_is_in_an_ssh_config_a_way_comes_out_or_an_error_of_ours(
    tmp_path: Path, lines: list[str]
) -> None:
    path = tmp_path / "config"
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
    try:
        assert Routes({}, SshConfig(config=path)).to("web1").name == "web1"
    except FerrymanError:
        return


@given(text=st.text(max_size=30))
def test_whatever_is_named_as_a_jump_host_is_one_or_a_value_error(text: str) -> None:
    try:
        assert not Jump.parse(text).host.startswith("-")
    except ValueError:
        return


@given(text=st.text(alphabet="ab*?!.", max_size=12), name=st.text(alphabet="ab.", max_size=8))
def test_a_pattern_matches_as_a_regular_expression_would(text: str, name: str) -> None:
    wild = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    assert matches(text, name) == (re.fullmatch(wild, name) is not None)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not matches("*a" * 500 + "b", "a" * 2000)
    assert any_matches(["!*b", "*"], "a")


def test_a_quote_that_is_not_closed_is_told() -> None:
    with pytest.raises(ValueError, match="a quote is not closed"):
        list(split('a "b'))


@pytest.fixture(name="certificate", scope="module")
def a_certificate(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    require_tool("ssh-keygen", package="openssh-client")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ca", "key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    command = ["ssh-keygen", "-q", "-s", str(folder / "ca"), "-I", "x", "-h", "-n", "web1,web2"]
    subprocess.run([*command, str(folder / "key.pub")], check=True)
    (found,) = read_certificates(folder / "key-cert.pub")
    return found.blob


@given(at=st.integers(0, 400), value=st.integers(0, 255), end=st.integers(0, 500))
def test_a_certificate_that_was_changed_in_one_byte_or_cut_off_vouches_for_nobody(
    certificate: bytes, at: int, value: int, end: int
) -> None:
    changed = bytearray(certificate)
    changed[at % len(changed)] = value
    blob = bytes(changed[: end if end > 10 else None])
    try:
        fault = Certificate.parse(blob).host_fault(("web1",), 0 if at % 2 else 2_000_000_000)
    except ValueError:
        return
    assert (fault is None) == (blob == certificate)


@given(content=st.binary(max_size=60), before=st.sampled_from([b"", b"ssh-ed25519 ", b"openssh-key-v1\0"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_a_key_file_nothing_is_raised(tmp_path: Path, content: bytes, before: bytes) -> None:
    path = tmp_path / "key"
    for body in (before + content, before + base64.b64encode(before + content)):
        path.write_bytes(
            b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + body + b"\n-----END OPENSSH PRIVATE KEY-----\n"
        )
        assert read_key(path).fault
        path.write_bytes(body)
        assert read_key(path).fault
