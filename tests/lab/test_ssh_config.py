"""What an ssh_config file says of a host, compared with what ``ssh -G`` says; and connections by it."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from ferryman.config import SshConfig
from ferryman.errors import ConfigError, UnreachableError
from ferryman.hosts import HostAddress
from ferryman.hosts.route import Routes
from ferryman.hosts.ssh import Fleet
from ferryman.hosts.ssh_config import SshConfigFile
from lab.own_sshd import Server, free_port, make_keys, serving, whoami
from tools import asks, require_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("web1", "web2.codfw.example", "WEB1", "db1")

FILES = {
    "hosts and patterns": """
        Host web* !web2*
            User one
            Port 2201
        Host *.example
            HostName %h.invalid
            User two
        Host *
            User three
    """,
    "equals signs, quotes and comments": """
        # first
        Host=web1 "db1"   # the two
            User = "some one"
            Port=2202
        host web?
            IdentityFile "/keys/a b" # spaces
    """,
    "the first value counts, and files add up": """
        User first
        Host web1
            User second
            IdentityFile /keys/one
        Host *
            User third
            IdentityFile /keys/two-%h-%r-%p
            CertificateFile /keys/two-cert.pub
    """,
    "names of hosts": """
        Host web1
            HostName realname
        Host db1
            HostName %h.example.org
        Host *
            IdentityFile /keys/%n-%h
            UserKnownHostsFile /known/%h /known/more
            GlobalKnownHostsFile /etc/known
            HostKeyAlias alias-%h
    """,
    "jump hosts": """
        Host web1
            ProxyJump a@bastion:2222,[fd00::1]:23
        Host web2*
            ProxyJump none
        Host * !outer !bastion !fd00::1
            ProxyJump outer
    """,
    "a command of none keeps jump hosts out": """
        Host web1
            ProxyCommand none
        Host * !outer
            ProxyJump outer
    """,
    "identities": """
        Host web1
            IdentitiesOnly yes
            IdentityAgent none
            IdentityFile none
        Host *
            IdentitiesOnly no
            IdentityAgent /run/agent-%r
    """,
    "Match that the name alone decides": """
        Match originalhost web1
            User matched
        Match host web2*,!*.example
            Port 2203
        Match all
            Port 2204
    """,
    "Match for the name that it has become": """
        Host web1
            HostName inner
        Match host inner
            User inner
        Match !host inner
            User outer
    """,
    "another case": """
        HOST Web1
            user capital
        host WEB1
            USER shouting
    """,
    "quotes in words": r"""
        Host web1
            IdentityFile "/keys/with \" quote"
            User 'single'
    """,
}


def of_ssh(path: Path, name: str) -> dict[str, list[str]]:
    """What ``ssh -G`` says, by keyword."""
    command = ["ssh", "-F", str(path), "-G", name]
    said = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found: dict[str, list[str]] = {}
    for line in said.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword, []).append(value)
    return found


@pytest.fixture(name="path")
def a_path(tmp_path: Path) -> Path:
    require_tool("ssh", package="openssh-client")
    return tmp_path / "config"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", FILES)
def test_a_file_says_what_ssh_says(path: Path, case: str, name: str) -> None:
    path.write_text(FILES[case])
    theirs = of_ssh(path, name)
    routes = Routes({}, SshConfig(config=path))
    said = routes.file.host(name)
    hop = routes.to(name)
    assert hop.target.lower() == theirs["hostname"][0]
    assert hop.port == int(theirs["port"][0])
    assert hop.user == theirs["user"][0]
    jumps = [word for word in theirs.get("proxyjump", []) if word != "none"]
    assert [(jump.user, jump.host, jump.port) for jump in said.jump or ()] == [
        parsed(word) for line in jumps for word in line.split(",")
    ]
    assert hop.keys.identities_only == (theirs["identitiesonly"] == ["yes"])
    if said.known_hosts:
        files = [*theirs["userknownhostsfile"][0].split(), *theirs["globalknownhostsfile"][0].split()]
        assert [str(file) for file in said.known_hosts] == [
            expanded(file, hop.target.lower(), hop.user, hop.port, name) for file in files
        ]
    if said.identities is not None:
        assert [str(file) for file in said.identities] == [
            expanded(file, hop.target.lower(), hop.user, hop.port, name)
            for file in theirs["identityfile"]
            if file != "none"
        ]


def parsed(word: str) -> tuple[str | None, str, int | None]:
    user, _, rest = word.rpartition("@")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, ""
    return user or None, host.strip("[]"), int(port) if port else None


def expanded(file: str, target: str, user: str, port: int, name: str) -> str:
    """``ssh -G`` prints tokens of files as they are written."""
    for token, value in (("%h", target), ("%r", user), ("%p", str(port)), ("%n", name)):
        file = file.replace(token, value)
    return file


def test_included_files_count_where_they_are_included(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path.parent / "conf.d").mkdir()
    (path.parent / "conf.d/1").write_text("Port 2301\nHost web1\n  User included\n")
    (path.parent / "conf.d/2").write_text("Host *\n  User later\n")
    included = f"Include {path.parent}/conf.d/* {path.parent}/none"
    path.write_text(f"Host web*\n  {included}\n  IdentityFile /k\nHost *\n  Port 9\n")
    for name in ("web1", "web2", "db1"):
        theirs = of_ssh(path, name)
        hop = Routes({}, SshConfig(config=path)).to(name)
        assert (hop.user, str(hop.port)) == (theirs["user"][0], theirs["port"][0])


TOLD = {
    "ProxyCommand nc %h %p": r"config:2: ProxyCommand: ferryman runs no command",
    "BindAddress 192.0.2.1": r"config:2: BindAddress 192.0.2.1: ferryman does not do this",
    "AddressFamily inet6": r"config:2: AddressFamily inet6",
    "CanonicalizeHostname yes": r"config:2: CanonicalizeHostname",
    "PKCS11Provider /lib/token.so": r"config:2: PKCS11Provider",
    "KnownHostsCommand /bin/keys": r"config:2: KnownHostsCommand",
    "RevokedHostKeys /etc/revoked": r"config:2: RevokedHostKeys",
    "PubkeyAuthentication no": r"config:2: PubkeyAuthentication",
    "KexAlgorithms curve25519-sha256": r"config:2: KexAlgorithms",
    "ProxyJmp bastion": r"config:2: ProxyJmp",
    "Port many": r"config:2: Port many: expected a port number",
    "HostName %h.%k": r"config:2: HostName %h.%k: %k is not known",
    'User "open': r"config:2: User: a quote is not closed",
    "User": r"config:2: User: has no argument",
}


@pytest.mark.parametrize("line", TOLD)
def test_what_would_change_how_a_host_is_reached_is_told_for_that_host_alone(path: Path, line: str) -> None:
    path.write_text(f"Host web1\n  {line}\n")
    routes = Routes({}, SshConfig(config=path))
    assert routes.to("web2").target == "web2"
    with pytest.raises(UnreachableError, match=rf"^web1: ssh_config: .*{TOLD[line]}.*nothing ran there$"):
        routes.to("web1")


def test_a_match_that_cannot_be_decided_is_told_with_the_line_that_it_would_change(
    path: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    path.write_text(
        f'Match host web1 exec "touch {mark}"\n  SendEnv LANG\n  ProxyJump bastion\nHost *\n  User u\n'
    )
    routes = Routes({}, SshConfig(config=path))
    with pytest.raises(UnreachableError, match=r"config:1: Match host web1 exec .*ProxyJump on line 3"):
        routes.to("web1")
    assert routes.to("web2").user == "u"
    assert not mark.exists()


def test_a_match_that_changes_nothing_for_ferryman_is_passed_over(path: Path) -> None:
    path.write_text(
        "Host web1\n  User first\nMatch user first\n  SetEnv A=b\n  User second\nHost *\n  ForwardAgent yes\n"
    )
    assert Routes({}, SshConfig(config=path)).to("web1").user == "first"


def test_a_jump_host_for_all_hosts_and_itself_is_a_circle_as_it_is_to_ssh(path: Path) -> None:
    path.write_text("Host *\n  ProxyJump outer\n")
    with pytest.raises(subprocess.CalledProcessError):
        of_ssh(path, "outer")
    with pytest.raises(ConfigError, match="web1 goes through outer goes through outer: a circle"):
        Routes({}, SshConfig(config=path)).to("web1")


def test_unknown_keywords_that_the_file_wants_ignored_are_ignored(path: Path) -> None:
    path.write_text("IgnoreUnknown UseKey*,Foo\nUseKeychain yes\nUseKeyring no\nFoo bar\n")
    assert Routes({}, SshConfig(config=path)).to("web1").target == "web1"


def test_what_ferrymans_own_files_say_wins(path: Path, tmp_path: Path) -> None:
    path.write_text(
        "Host web1\n  HostName elsewhere\n  User theirs\n  Port 1\n  ProxyCommand nc %h\n"
        "  UserKnownHostsFile /theirs\n  IdentityFile /theirs/%z\n"
    )
    own = {"web1": HostAddress("web1", "192.0.2.1", 2222, jump=("bastion",))}
    ssh = SshConfig(config=path, user="ours", identity=tmp_path / "key", known_hosts=tmp_path / "known")
    hop = Routes(own, ssh).to("web1")
    assert (hop.target, hop.user, hop.port) == ("192.0.2.1", "ours", 2222)
    assert hop.via is not None
    assert hop.via.name == "bastion"
    assert (hop.keys.identities, hop.known_hosts) == ((tmp_path / "key",), (tmp_path / "known",))


def test_a_file_that_is_named_must_be_there_and_the_usual_one_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Routes({}, SshConfig()).to("web1").target == "web1"
    with pytest.raises(ConfigError, match=rf"ssh.config: {tmp_path}/none: No such file"):
        Routes({}, SshConfig(config=tmp_path / "none"))


def test_a_file_that_others_may_write_to_is_refused_as_ssh_refuses_it(path: Path) -> None:
    path.write_text("Host web1\n  ProxyJump evil\n")
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="others may write to it"):
        Routes({}, SshConfig(config=path))


def test_a_file_that_includes_itself_ends(path: Path) -> None:
    path.write_text(f"Include {path} {path}\n")
    with pytest.raises(ConfigError, match="include each other"):
        SshConfigFile.load(path, required=True)


def test_an_alias_reaches_its_host_through_its_jump_host(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file is given to ssh, which takes it."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with two_servers(tmp_path_factory.mktemp("keys"), tmp_path / "a", tmp_path / "b") as (bastion, inner):
        known = tmp_path / "known"
        known.write_text(bastion.known("127.0.0.1") + inner.known("127.0.0.1"))
        config = tmp_path / "config"
        config.write_text(
            f"Host short\n  HostName 127.0.0.1\n  Port {inner.port}\n  ProxyJump door\n"
            f"Host door\n  HostName 127.0.0.1\n  Port {bastion.port}\n"
            f"Host *\n  User {whoami()}\n  IdentityFile {inner.identity}\n  UserKnownHostsFile {known}\n"
        )
        command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "short", "echo in"]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "in\n"
        logins = bastion.logins
        with Fleet({}, SshConfig(config=config)) as fleet:
            assert fleet.read("short", asks("echo in")).stdout == "in\n"
        assert bastion.logins == logins + 1


@contextlib.contextmanager
def two_servers(keys: Path, *folders: Path) -> Iterator[list[Server]]:
    """Servers that let the same key in."""
    servers = [Server(folder, free_port()) for folder in folders]
    pair = make_keys(keys / "pair")
    for server in servers:
        server.make(pair)
    with serving(*servers):
        yield servers
