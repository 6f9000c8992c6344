"""Keys of files and agents, certificates of users and hosts, against a real OpenSSH server."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman.config import SshConfig
from ferryman.errors import ConfigError, UnreachableError
from ferryman.hosts import HostAddress
from ferryman.hosts.certificates import Certificate
from ferryman.hosts.key_files import read_certificates
from ferryman.hosts.ssh import Fleet
from lab.own_sshd import Server, free_port, make_key, make_keys, own_agent, serving, whoami
from tools import asks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = ("ed25519", "rsa", "ecdsa")


@pytest.fixture(name="keys", scope="module")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_keys(tmp_path_factory.mktemp("keys"))
    for name in ("ca_ed25519", "ca_rsa", "other_ed25519", "user_rsa", "user_ecdsa", "host_ecdsa"):
        make_key(folder / name)
    return folder


@pytest.fixture(name="server")
def a_server(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    server = Server(tmp_path / "server", free_port())
    server.make(keys)
    with serving(server):
        yield server


def fleet_of(server: Server, **ssh: object) -> Fleet:
    settings = {"user": whoami(), "known_hosts": server.known_hosts, "config": False, **ssh}
    made = Fleet({"rs1": HostAddress("rs1", "127.0.0.1", server.port)}, SshConfig.model_validate(settings))
    server.fleets.append(made)
    return made


def let_in(server: Server, *keys: str) -> None:
    lines = [(server.folder / f"{key}.pub").read_text() for key in keys]
    (server.folder / "authorized_keys").write_text("".join(lines))


def encrypt(key: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True)


def sign(server: Server, key: str, *options: str, ca: str = "ca_ed25519") -> Path:
    """Sign a key; its certificate, which stands beside it."""
    command = ["ssh-keygen", "-q", "-s", str(server.folder / ca), "-I", "test", *options]
    subprocess.run([*command, str(server.folder / f"{key}.pub")], check=True)
    return server.folder / f"{key}-cert.pub"


def trust_users(server: Server, ca: str = "ca_ed25519") -> None:
    """No key is let in but by a certificate of this authority."""
    (server.folder / "authorized_keys").write_text("")
    server.configure(f"TrustedUserCAKeys {server.folder}/{ca}.pub")


def openssh_says(server: Server, *options: str) -> str:
    """What the OpenSSH client does with the same files."""
    command = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={server.known_hosts}"]
    command += ["-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes"]
    command += ["-o", "HostKeyAlias=rs1", "-i", str(server.identity), "-p", str(server.port), *options]
    done = subprocess.run(
        [*command, f"{whoami()}@127.0.0.1", "echo in"], check=False, capture_output=True, text=True
    )
    return done.stdout + done.stderr


# --- which key ---


def test_the_agent_alone_lets_in_where_there_is_no_key_file(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_agent(monkeypatch, server.identity):
        assert fleet_of(server).read("rs1", asks("echo in")).stdout == "in\n"


def test_with_neither_agent_nor_key_file_it_is_a_configuration_error(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"ssh.identity: there is no key: .*id_ed25519.*ssh-add"):
        fleet_of(server)


def test_an_agent_that_holds_nothing_is_no_key_either(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_agent(monkeypatch), pytest.raises(ConfigError, match="no agent holds one"):
        fleet_of(server)


def test_a_key_file_in_its_usual_place_is_taken_without_being_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "nobody/.ssh").mkdir(parents=True)
    for kind in KINDS[1:]:
        name = f"user_{kind}"
        (tmp_path / f"nobody/.ssh/id_{kind}").write_text((server.folder / name).read_text())
    let_in(server, "user_rsa")
    assert fleet_of(server).read("rs1", asks("echo in")).stdout == "in\n"


@pytest.mark.parametrize("key", ["id_ed25519", "user_rsa", "user_ecdsa"])
def test_a_public_key_file_picks_its_key_among_many_of_the_agent(
    server: Server, monkeypatch: pytest.MonkeyPatch, key: str, tmp_path: Path
) -> None:
    let_in(server, key)
    many = [make_key(tmp_path / f"many{number}_ed25519") for number in range(8)]
    with own_agent(monkeypatch, *many, server.folder / key):
        fleet = fleet_of(server, identity=server.folder / f"{key}.pub")
        assert fleet.read("rs1", asks("echo in")).stdout == "in\n"


def test_no_more_keys_are_offered_than_a_host_takes_and_the_message_says_how_to_name_one(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    many = [make_key(tmp_path / f"many{number}_ed25519") for number in range(8)]
    with own_agent(monkeypatch, *many, server.identity):
        with pytest.raises(UnreachableError, match=r"rs1: authenticate: .* was not let in .*ssh\.identity"):
            fleet_of(server).read("rs1", asks("true"))
        server.configure("MaxAuthTries 2")
        with pytest.raises(UnreachableError, match=r"no more keys than these 2 .*ssh\.identity"):
            fleet_of(server).read("rs1", asks("true"))


def test_a_public_key_file_without_an_agent_is_a_configuration_error(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"id_ed25519.pub: is a public key, and no agent .*ssh-add \S+519$"):
        fleet_of(server, identity=f"{server.identity}.pub")


def test_an_encrypted_key_that_the_agent_does_not_hold_is_told_where_its_others_are_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt(server.identity)
    with (
        own_agent(monkeypatch, server.folder / "other_ed25519"),
        pytest.raises(UnreachableError, match=r"other_ed25519: .*; \S+id_ed25519: is encrypted.*ssh-add"),
    ):
        fleet_of(server, identity=server.identity).read("rs1", asks("true"))


def test_with_identities_only_no_other_key_of_the_agent_is_offered(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"IdentitiesOnly yes\nIdentityFile {server.folder}/other_ed25519.pub\n")
    with own_agent(monkeypatch, server.identity, server.folder / "other_ed25519"):
        with pytest.raises(UnreachableError) as caught:
            fleet_of(server, config=config).read("rs1", asks("true"))
        assert "other_ed25519" in str(caught.value)
        assert "id_ed25519" not in str(caught.value)
        let_in(server, "other_ed25519")
        assert fleet_of(server, config=config).read("rs1", asks("echo in")).stdout == "in\n"


def test_an_agent_that_does_not_answer_ends_at_the_connect_deadline(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    let_in(server)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "agent"))
        silent.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        fleet = fleet_of(server, identity=server.identity, connect_timeout=1.0)
        with pytest.raises(UnreachableError, match=r"authenticate: .*agent at \S+/agent cannot be asked"):
            fleet.read("rs1", asks("true"))


# --- certificates of users ---


@pytest.mark.parametrize("key", ["id_ed25519", "user_rsa", "user_ecdsa"])
@pytest.mark.parametrize("ca", ["ca_ed25519", "ca_rsa"])
def test_a_certificate_beside_the_key_lets_in(server: Server, key: str, ca: str) -> None:
    sign(server, key, "-n", whoami(), ca=ca)
    trust_users(server, ca)
    assert fleet_of(server, identity=server.folder / key).read("rs1", asks("echo in")).stdout == "in\n"


@pytest.mark.parametrize("key", ["id_ed25519", "user_rsa", "user_ecdsa"])
def test_a_certificate_in_the_agent_lets_in(
    server: Server, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    sign(server, key, "-n", whoami())
    trust_users(server)
    with own_agent(monkeypatch, server.folder / key):  # ssh-add takes the certificate beside it too
        assert fleet_of(server).read("rs1", asks("echo in")).stdout == "in\n"


def test_a_certificate_in_a_file_of_its_own_lets_in_with_the_agents_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"CertificateFile {tmp_path}/signed.pub\n")
    trust_users(server)
    with own_agent(monkeypatch, server.identity):
        sign(server, "id_ed25519", "-n", whoami()).rename(tmp_path / "signed.pub")
        assert fleet_of(server, config=config).read("rs1", asks("echo in")).stdout == "in\n"


def test_a_certificate_that_has_expired_is_told_as_such(server: Server) -> None:
    sign(server, "id_ed25519", "-n", whoami(), "-V", "20200101:20200102")
    trust_users(server)
    with pytest.raises(UnreachableError, match=r'certificate "test", which expired on 2020-01-0.*refused'):
        fleet_of(server, identity=server.identity).read("rs1", asks("true"))


# --- certificates of hosts ---


def show_certificate(
    server: Server, *options: str, key: str = "host_ed25519", ca: str = "ca_ed25519"
) -> None:
    """The host shows a certificate; known_hosts has the authority alone."""
    certificate = sign(server, key, "-h", *options, ca=ca)
    server.configure(f"HostKey {server.folder}/{key}", f"HostCertificate {certificate}")
    authority = (server.folder / f"{ca}.pub").read_text()
    server.known_hosts.write_text(f"@cert-authority rs1,[rs1]:* {authority}")


@pytest.mark.parametrize("key", ["host_ed25519", "host_rsa", "host_ecdsa"])
@pytest.mark.parametrize("ca", ["ca_ed25519", "ca_rsa"])
def test_a_host_with_a_certificate_of_a_known_authority_is_trusted(server: Server, key: str, ca: str) -> None:
    show_certificate(server, "-n", "other,RS1,rs1", key=key, ca=ca)
    assert openssh_says(server) == "in\n"
    assert fleet_of(server, identity=server.identity).read("rs1", asks("echo in")).stdout == "in\n"


REFUSED = {
    "expired": (["-n", "rs1", "-V", "20200101:20200102"], r"expired on 2020-01-0"),
    "not valid yet": (["-n", "rs1", "-V", "20400101:20400102"], r"is not valid before 20"),
    "of another host": (["-n", "rs2,web*"], r"is for rs2, web\*, not for rs1 or 127.0.0.1"),
    "signed with SHA-1": (["-n", "rs1", "-t", "ssh-rsa"], r"is signed with SHA-1"),
    "with a critical option": (["-n", "rs1", "-O", "critical:made-up=x"], r"has the critical option made-up"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_host_certificate_that_is_not_good_is_refused_with_the_reason_as_ssh_refuses_it(
    server: Server, case: str
) -> None:
    options, message = REFUSED[case]
    show_certificate(server, *options, ca="ca_rsa" if "SHA-1" in case else "ca_ed25519")
    assert "in\n" not in openssh_says(server)
    with pytest.raises(UnreachableError, match=rf'^rs1: host key: its certificate "test" {message}'):
        fleet_of(server, identity=server.identity).read("rs1", asks("true"))


def test_a_host_certificate_for_nobody_in_particular_is_refused(server: Server) -> None:
    show_certificate(server)
    with pytest.raises(UnreachableError, match=r'its certificate "test" is for nobody, not for rs1'):
        fleet_of(server, identity=server.identity).read("rs1", asks("true"))


def test_a_users_certificate_does_not_vouch_for_a_host(server: Server, keys: Path) -> None:
    (certificate,) = read_certificates(sign(server, "host_ed25519", "-n", "rs1"))
    assert certificate.host_fault(("rs1",), 0) == "is one of a user, not of a host"


def test_a_certificate_that_was_tampered_with_is_not_signed_by_its_authority(server: Server) -> None:
    (certificate,) = read_certificates(sign(server, "host_ed25519", "-h", "-n", "rs1"))
    forged = Certificate.parse(certificate.blob.replace(b"rs1", b"rs2"))
    assert forged.host_fault(("rs2",), 0) == "is not signed by the authority that it names"


def test_an_authority_is_good_only_for_the_hosts_that_its_line_names(server: Server) -> None:
    show_certificate(server, "-n", "rs1")
    authority = (server.folder / "ca_ed25519.pub").read_text()
    server.known_hosts.write_text(f"@cert-authority *.example,!rs1 {authority}")
    with pytest.raises(UnreachableError, match="rs1: host key: unknown"):
        fleet_of(server, identity=server.identity).read("rs1", asks("true"))


@pytest.mark.parametrize("revoked", ["ca_ed25519", "host_ed25519"])
def test_a_revoked_authority_or_key_is_refused(server: Server, revoked: str) -> None:
    show_certificate(server, "-n", "rs1")
    key = (server.folder / f"{revoked}.pub").read_text()
    with server.known_hosts.open("a") as file:
        file.write(f"@revoked * {key}")
    assert "in\n" not in openssh_says(server)
    with pytest.raises(UnreachableError, match=r"is revoked by .*known_hosts:2; do not use this host"):
        fleet_of(server, identity=server.identity).read("rs1", asks("true"))


def test_a_certificate_of_an_unknown_authority_counts_as_its_key(server: Server) -> None:
    show_certificate(server, "-n", "rs1")
    other = (server.folder / "other_ed25519.pub").read_text()
    server.known_hosts.write_text(f"@cert-authority * {other}")
    with pytest.raises(UnreachableError, match=r"unknown: .*; its certificate is of the authority SHA256"):
        fleet_of(server, identity=server.identity).read("rs1", asks("true"))
    with server.known_hosts.open("a") as file:
        file.write(server.known("rs1"))
    assert fleet_of(server, identity=server.identity).read("rs1", asks("echo in")).stdout == "in\n"


def test_a_host_without_a_certificate_is_known_by_its_key_beside_an_authority(server: Server) -> None:
    authority = (server.folder / "ca_ed25519.pub").read_text()
    server.known_hosts.write_text(f"@cert-authority * {authority}{server.known('rs1')}")
    assert fleet_of(server, identity=server.identity).read("rs1", asks("echo in")).stdout == "in\n"
