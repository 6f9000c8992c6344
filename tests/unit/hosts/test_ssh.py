"""What of the fleet needs no server: its files, and the meaning of paramiko's exceptions."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import paramiko
import pytest

from ferryman.config import SshConfig
from ferryman.errors import ConfigError, DryRunError, UnreachableError
from ferryman.hosts.explanations import EXPLANATIONS, nothing_ran
from ferryman.hosts.ssh import Fleet
from ferryman.hosts.verbs.fence import TakeOver
from ferryman.hosts.verbs.ipvs import IpvsTable
from tools import asks, does

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ferryman.hosts import Hosts

NEVER_HERE = {
    "AuthFailure": "paramiko's auth strategies are not used",
    "BERException": "writes and reads of ASN.1, which no key goes through any more",
    "NeedRekeyException": "caught in paramiko's own thread",
    "PipeTimeout": "becomes socket.timeout in Channel.recv",
    "SFTPError": "no SFTP is spoken",
}
"""Exceptions that paramiko keeps to itself, or to parts of it that are not used."""

ARGUMENTS: dict[type[Exception], tuple[object, ...]] = {
    paramiko.BadAuthenticationType: ("bad", ["password"]),
    paramiko.ssh_exception.PartialAuthentication: (["password"],),
    paramiko.ChannelException: (1, "Administratively prohibited"),
    paramiko.ProxyCommandFailure: ("nc", "no"),
    paramiko.ssh_exception.NoValidConnectionsError: ({("192.0.2.1", 22): OSError("no")},),
    paramiko.hostkeys.InvalidHostKey: ("line", ValueError("x")),
    paramiko.pkey.UnknownKeyType: ("ssh-dss", b""),
}


def paramikos_exceptions() -> Iterator[type[Exception]]:
    for found in pkgutil.iter_modules(paramiko.__path__):
        if found.name in ("_winapi", "win_pageant", "win_openssh"):
            continue
        module = importlib.import_module(f"paramiko.{found.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Exception) and kind.__module__ == module.__name__:
                yield kind


def made(kind: type[Exception]) -> Exception:
    if kind is paramiko.BadHostKeyException:
        key = paramiko.RSAKey.generate(1024)
        return paramiko.BadHostKeyException("web1", key, key)
    return kind(*ARGUMENTS.get(kind, ("something",)))


def test_every_exception_of_paramiko_is_explained_or_known_never_to_come_here() -> None:
    unmapped = {kind.__name__ for kind in paramikos_exceptions() if kind not in EXPLANATIONS}
    assert unmapped == set(NEVER_HERE)


@pytest.mark.parametrize("kind", [*EXPLANATIONS, socket.gaierror, ValueError], ids=lambda kind: kind.__name__)
def test_an_exception_before_a_command_was_sent_becomes_unreachable_with_host_and_phase(
    kind: type[Exception],
) -> None:
    error = made(kind)
    wanted = r"^web1: authenticate: .*nothing ran there$"
    with pytest.raises(UnreachableError, match=wanted) as caught, nothing_ran("web1", "authenticate"):
        raise error
    assert caught.value.__cause__ is error


def test_the_most_particular_explanation_is_the_one_given() -> None:
    kinds = list(EXPLANATIONS)
    for position, kind in enumerate(kinds):
        assert not any(issubclass(later, kind) for later in kinds[position + 1 :]), kind


def test_our_own_errors_pass_unchanged() -> None:
    ours = UnreachableError("web1: host key: unknown")
    with pytest.raises(UnreachableError) as caught, nothing_ran("web1", "host key"):
        raise ours
    assert caught.value is ours


@pytest.fixture(name="ssh")
def some_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SshConfig:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = paramiko.RSAKey.generate(1024)
    key.write_private_key_file(str(tmp_path / "key"))
    (tmp_path / "known").write_text("")
    return SshConfig(identity=tmp_path / "key", known_hosts=tmp_path / "known", config=False)


def test_a_key_file_that_is_not_there_is_a_configuration_error(ssh: SshConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"ssh.identity: {tmp_path}/none: No such file"):
        Fleet({}, ssh.model_copy(update={"identity": tmp_path / "none"}))


def test_a_key_file_that_is_a_folder_is_a_configuration_error(ssh: SshConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"ssh.identity: {tmp_path}: Is a directory"):
        Fleet({}, ssh.model_copy(update={"identity": tmp_path}))


@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_key_file_that_is_none_is_a_configuration_error(ssh: SshConfig, text: str) -> None:
    assert ssh.identity is not None
    ssh.identity.write_text(text)
    with pytest.raises(ConfigError, match=f"ssh.identity: {ssh.identity}: no private key that can be used"):
        Fleet({}, ssh)


def test_an_encrypted_key_file_without_an_agent_is_a_configuration_error(ssh: SshConfig) -> None:
    paramiko.RSAKey.generate(1024).write_private_key_file(str(ssh.identity), password="secret")
    with pytest.raises(ConfigError, match=f"{ssh.identity}: is encrypted, .*; ssh-add {ssh.identity}"):
        Fleet({}, ssh)


def test_known_hosts_that_are_not_there_are_a_configuration_error(ssh: SshConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ssh.known_hosts"):
        Fleet({}, ssh.model_copy(update={"known_hosts": tmp_path / "none"}))


def test_a_dry_run_refuses_to_write_before_it_connects(ssh: SshConfig) -> None:
    with Fleet({}, ssh, dry_run=True) as fleet, pytest.raises(DryRunError, match=r"web1: .*'rm x'"):
        fleet.write("web1", does("rm x"))
    with Fleet({}, ssh, dry_run=True) as fleet, pytest.raises(DryRunError, match=r"web1: .*'rm x'"):
        fleet.write_and_read("web1", does("rm x"), [asks("true")])


def test_a_verb_of_the_other_kind_is_a_bug_of_who_asks_and_connects_to_nobody(ssh: SshConfig) -> None:
    with Fleet({}, ssh) as fleet:
        with pytest.raises(TypeError, match=r"take-over writes, and was to be read: .* nothing ran"):
            fleet.read("web1", TakeOver())  # type: ignore[arg-type]  # the type checker says so too
        with pytest.raises(TypeError, match=r"ipvs-table reads, and was to write: .* nothing ran"):
            fleet.write("web1", IpvsTable())  # type: ignore[arg-type]  # the type checker says so too
        for verbs in ([TakeOver()], [IpvsTable(), TakeOver()]):
            with pytest.raises(TypeError, match=r"take-over writes, and was to be read: .* nothing ran"):
                fleet.read_together({"web1": verbs})  # type: ignore[dict-item]  # as above
        with pytest.raises(TypeError, match=r"take-over writes, and was to be read: .* nothing ran"):
            fleet.write_and_read("web1", TakeOver(), [TakeOver()])  # type: ignore[list-item]  # as above


def test_a_closed_fleet_reaches_nobody(ssh: SshConfig) -> None:
    fleet = Fleet({}, ssh)
    fleet.close()
    hosts: Hosts = fleet
    answers = hosts.read_all({"web1": asks("true")})
    assert str(answers["web1"]) == "web1: connect: the fleet was closed; nothing ran there"
    assert hosts.read_all({}) == {}


def test_who_types_against_hosts_does_not_import_paramiko() -> None:
    modules = "ferryman.hosts, ferryman.realservers.checks, ferryman.hosts.fake"
    code = f"import sys, {modules}; sys.exit('paramiko' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
