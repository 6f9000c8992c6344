"""A cluster with ``auth enable``: whoever has not the right user there is told what is missing."""

from __future__ import annotations

import base64
import logging
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.config import EtcdConfig
from ferryman.engine.runner import Runner
from ferryman.errors import JournalError
from ferryman.state.etcd.store import EtcdStore
from ferryman.testing import Cut, Cuts
from lab.etcd.certificates import Authority
from lab.etcd.cluster import Cluster, require_etcd
from lab.etcd.hosts import NEW, OLD, REQUEST, ControlHosts, gateway, plan, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.etcd.certificates import Certificate
    from lab.etcd.cluster import Member

PASSWORD = "hunter2-of-the-journal"  # of a cluster that lives for a test
LOOKS_BETWEEN = 6


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def enable_users(member: Member) -> None:
    """Root, as it must be, and a user of ferryman's who may use the prefix alone."""
    requests: list[tuple[str, dict[str, Any]]] = [
        ("user/add", {"name": "root", "password": "root"}),
        ("role/add", {"name": "root"}),
        ("user/grant", {"user": "root", "role": "root"}),
        ("role/add", {"name": "ferry"}),
        (
            "role/grant",
            {
                "name": "ferry",
                "perm": {
                    "permType": "READWRITE",
                    "key": encoded("/ferryman/"),
                    "range_end": encoded("/ferryman0"),
                },
            },
        ),
        ("user/add", {"name": "ferry", "password": PASSWORD}),
        ("user/grant", {"user": "ferry", "role": "ferry"}),
        ("user/add", {"name": "stranger", "password": PASSWORD}),
        ("enable", {}),
    ]
    for path, body in requests:
        member.ask("POST", f"/v3/auth/{path}", body)


def change_password(member: Member, password: str) -> None:
    """Set the user's password, with which all of its tokens end."""
    root = member.ask("POST", "/v3/auth/authenticate", {"name": "root", "password": "root"})
    new = {"name": "ferry", "password": password}
    member.ask("POST", "/v3/auth/user/changepw", new, token=root["token"])


@pytest.fixture(scope="module")
def with_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One member that takes requests of users alone."""
    require_etcd()
    with Cluster(tmp_path_factory.mktemp("users"), size=1) as cluster:
        enable_users(cluster.members[0])
        yield cluster


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.touch(0o600)
    file.write_text(f"{PASSWORD}\n")
    return file


@pytest.fixture
def hosts_of(with_users: Cluster) -> Iterator[Callable[..., ControlHosts]]:
    """Control hosts that log in as a user, or as nobody."""
    with ExitStack() as stack:

        def make(user: str | None = None, file: Path | None = None) -> ControlHosts:
            hosts = ControlHosts(with_users, user=user, password_file=file)
            return stack.enter_context(hosts)

        yield make


def test_a_user_with_its_password_in_a_file_keeps_runs_there(
    hosts_of: Callable[..., ControlHosts], password_file: Path
) -> None:
    hosts, fake = hosts_of("ferry", password_file), world()

    assert hosts.perform(plan(fake), "one").outcome == "done"
    assert fake.values == NEW
    assert hosts.onlooker.faults(hosts.run) == []
    assert hosts.locked == {}


def test_whoever_gives_no_user_is_told_which_keys_are_missing(hosts_of: Callable[..., ControlHosts]) -> None:
    fake = world()
    with pytest.raises(JournalError, match=r"wants a user.*set etcd\.user and etcd\.password_file"):
        hosts_of().perform(plan(fake), "one")
    assert fake.values == OLD


def test_a_wrong_password_is_refused_and_shown_nowhere(
    hosts_of: Callable[..., ControlHosts], password_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    password_file.write_text("another-word\n")
    with pytest.raises(JournalError, match=r"refuses the login: etcd\.user is 'ferry'") as error:
        hosts_of("ferry", password_file).perform(plan(world()), "one")
    assert "another-word" not in str(error.value) + caplog.text


def test_a_user_without_a_role_for_the_prefix_is_told_the_command_that_gives_it(
    hosts_of: Callable[..., ControlHosts], password_file: Path
) -> None:
    with pytest.raises(JournalError, match=r"'stranger' may not.*grant-permission ROLE --prefix=true"):
        hosts_of("stranger", password_file).perform(plan(world()), "one")


def test_a_token_that_ends_in_mid_run_is_renewed(
    hosts_of: Callable[..., ControlHosts], password_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hosts = hosts_of("ferry", password_file)
    store, tokens = hosts.store("one"), []

    def end_tokens() -> None:
        tokens.append(gateway(store)._login.token)
        change_password(hosts.cluster.members[0], PASSWORD)

    fake = world(Cuts(Cut(LOOKS_BETWEEN, "before", end_tokens)))

    assert Runner(store=store).perform(REQUEST, plan(fake)).outcome == "done"
    assert fake.values == NEW
    tokens.append(gateway(store)._login.token)
    assert len(set(tokens)) == 2
    assert not any(secret in caplog.text for secret in (*filter(None, tokens), PASSWORD))


def test_a_password_that_is_taken_away_in_mid_run_takes_the_run_back(
    hosts_of: Callable[..., ControlHosts], password_file: Path
) -> None:
    hosts = hosts_of("ferry", password_file)

    def take_away() -> None:
        password_file.chmod(0o644)
        change_password(hosts.cluster.members[0], PASSWORD)

    fake = world(Cuts(Cut(LOOKS_BETWEEN, "before", take_away)))
    result = hosts.perform(plan(fake), "one")

    assert (result.outcome, fake.values) == ("rolled-back", OLD)
    assert "has the mode 0644, so that others can use it: chmod 600" in result.reason
    assert f"ferryman rollback {result.run}" in result.reason

    password_file.chmod(0o600)
    # By its id: other tests' runs are in this cluster too.
    closed = Runner(store=hosts.store("one")).roll_back(result.run, plan(fake))
    assert closed.outcome == "rolled-back", closed.reason
    assert hosts.locked == {}


def test_a_user_of_a_cluster_without_users_is_an_error(etcd: Cluster, password_file: Path) -> None:
    with (
        ControlHosts(etcd, user="ferry", password_file=password_file) as hosts,
        pytest.raises(JournalError, match=r"etcd\.user is not used there, for authentication is not enabled"),
    ):
        hosts.perform(plan(world()), "one")


def test_a_certificate_is_no_user_for_the_gateway_and_that_is_told(
    tmp_path: Path, password_file: Path
) -> None:
    require_etcd()
    authority = Authority(tmp_path)
    with_name, without = authority.issue("ferry"), authority.issue("nameless", is_named=False)
    login = {"user": "ferry", "password_file": password_file}
    with Cluster(tmp_path, size=1, authority=authority) as cluster:
        enable_users(cluster.members[0])
        named = ControlHosts(cluster).named()

        def perform(own: Certificate, **more: Any) -> str:  # noqa: ANN401  # of EtcdConfig
            config = EtcdConfig(ca=authority.ca, cert=own.certificate, key=own.key, **more)
            with closing(EtcdStore(named, config)) as store:
                return Runner(store=store).perform(REQUEST, plan(world())).outcome

        refused = r"common name \(CN\) does not log in.*take one without a common name"
        with pytest.raises(JournalError, match=rf"{refused}, and set etcd\.user"):
            perform(with_name)
        with pytest.raises(JournalError, match=refused):
            perform(with_name, **login)
        with pytest.raises(JournalError, match=r"none is given: set etcd\.user"):
            perform(without)
        assert perform(without, **login) == "done"
