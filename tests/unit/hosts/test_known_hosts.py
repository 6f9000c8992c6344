from __future__ import annotations

import base64
import hmac
from pathlib import Path

import pytest

from ferryman.errors import ConfigError, UnreachableError
from ferryman.hosts.known_hosts import KnownHosts, PresentedKey, known_names

FILE = Path("/etc/ssh/known")


def a_key(seed: str, algorithm: str = "ssh-ed25519") -> PresentedKey:
    return PresentedKey(algorithm, len(algorithm).to_bytes(4, "big") + algorithm.encode() + seed.encode())


GOOD, OTHER, RSA = a_key("good"), a_key("other"), a_key("good", "ssh-rsa")


def a_line(names: str, key: PresentedKey, marker: str = "") -> str:
    return f"{marker} {names} {key.algorithm} {base64.b64encode(key.blob).decode()} comment".strip()


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def known(*lines: str) -> KnownHosts:
    return KnownHosts.parse(FILE, "\n".join(lines))


REFUSED = {
    "an empty file": ([], "unknown: no line of /etc/ssh/known has web1 or 192.0.2.7"),
    "another host's key": ([a_line("web2", GOOD)], "unknown"),
    "the port is another": ([a_line("[web1]:2222", GOOD)], "unknown"),
    "a changed key": (["# first", a_line("web1", OTHER)], "it changed: .*/etc/ssh/known:2 has ssh-ed25519"),
    "another kind of key alone": ([a_line("web1", RSA)], "/etc/ssh/known:1 has ssh-rsa"),
    "changed by name though right by address": (
        [a_line("web1", OTHER), a_line("192.0.2.7", GOOD)],
        "it changed",
    ),
    "a revoked key": (
        [a_line("web1", GOOD), a_line("*", GOOD, "@revoked")],
        "is revoked by /etc/ssh/known:2",
    ),
    "a certificate authority alone": (
        [a_line("*", GOOD, "@cert-authority")],
        "an authority is known for it .*but the host has no cert",
    ),
    "negated": ([a_line("web*,!web1", GOOD)], "unknown"),
    "a line that is cut off": (["web1 ssh-ed25519"], r"could not be read: /etc/ssh/known:1\)"),
    "base64 that is none": (["web1 ssh-ed25519 !!!!"], r"could not be read: /etc/ssh/known:1\)"),
    "a key of another kind than it says": (
        [f"web1 ssh-rsa {base64.b64encode(GOOD.blob).decode()}"],
        r"could not be read: /etc/ssh/known:1\)",
    ),
    "a hash of another name": ([a_line(hashed("web2"), GOOD)], "unknown"),
    "a hash that is none": ([a_line("|1|x", GOOD)], "unknown"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_key_that_the_file_does_not_vouch_for_is_refused(case: str) -> None:
    lines, message = REFUSED[case]
    with pytest.raises(UnreachableError, match=f"web1: host key: .*{message}"):
        known(*lines).judge("web1", ("web1", "192.0.2.7"), GOOD)


TAKEN = {
    "by name": [a_line("web1", GOOD)],
    "by address when the name is unknown": [a_line("192.0.2.7", GOOD)],
    "one of several names": [a_line("db1,web1,www", GOOD)],
    "one of several keys": [a_line("web1", RSA), a_line("web1", GOOD)],
    "by pattern": [a_line("web?,*.example", GOOD)],
    "in capitals": [a_line("WEB1", GOOD)],
    "hashed": [a_line(hashed("web1"), GOOD)],
    "another key is revoked": [a_line("web1", OTHER, "@revoked"), a_line("web1", GOOD)],
    "after a line that could not be read": ["garbage", a_line("web1", GOOD)],
}


@pytest.mark.parametrize("case", TAKEN)
def test_a_key_that_the_file_vouches_for_is_taken(case: str) -> None:
    known(*TAKEN[case]).judge("web1", ("web1", "192.0.2.7"), GOOD)


def test_a_port_of_its_own_is_part_of_the_name() -> None:
    names = known_names("web1", "192.0.2.7", 2222)
    assert names == ("[web1]:2222", "[192.0.2.7]:2222")
    known(a_line("[web1]:2222", GOOD)).judge("web1", names, GOOD)


def test_the_refusal_of_an_unknown_key_says_how_to_verify_and_what_to_add() -> None:
    with pytest.raises(UnreachableError) as caught:
        known().judge("web1", ("web1",), GOOD)
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in str(caught.value)
    assert str(caught.value).endswith(a_line("web1", GOOD).removesuffix(" comment"))


def test_the_refusal_of_a_changed_key_has_the_command_that_takes_the_old_one_away() -> None:
    with pytest.raises(UnreachableError, match=r"ssh-keygen -f /etc/ssh/known -R '\[web1\]:2222', and add"):
        known(a_line("[web1]:2222", OTHER)).judge("web1", ("[web1]:2222",), GOOD)


def test_a_host_is_asked_for_what_its_known_keys_sign_with() -> None:
    lines = [
        a_line("web1", RSA),
        a_line("web1", GOOD),
        a_line("web1", OTHER),
        a_line("web1", OTHER, "@revoked"),
    ]
    assert known(*lines).signatures(("web1",)) == {"ssh-rsa", "ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512"}


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"ssh.known_hosts: {tmp_path}/none: No such file"):
        KnownHosts.load(tmp_path / "none")
