"""ferryman.toml: found, read, and every mistake named at once."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from ferryman import configfile
from ferryman.config import Config, EtcdCluster, EtcdConfig, load
from ferryman.configfile import KEYS, sqlite_file
from ferryman.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

EVERY_KEY = """
inventory = "stock"
cookbooks = ["books", "/opt/books"]
state = "sqlite:var/state.db"
lab = false

[ssh]
user = "ops"
identity = "keys/id"
known_hosts = "~/known"
connect_timeout = 2
command_timeout = 3.5
concurrency = 4

[probe]
outer_source = { ipv4 = "172.16.9.9", ipv6 = "100::9" }
timeout = 0.5
tries = 2
rate = 100
"""

ALERTMANAGER = '[hooks.alertmanager.am]\nurl = "http://127.0.0.1:9093"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "ferryman.toml"
    file.write_text(text)
    return file


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    config = load(written(tmp_path, ""))
    assert config.inventory == tmp_path / "inventory"
    assert config.sqlite == tmp_path / ".ferryman/state.db"
    assert config.etcd_cluster is None
    assert config.probe.outer_source.ipv4 == IPv4Address("172.16.1.1")
    assert not config.lab


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load(written(tmp_path, EVERY_KEY))
    assert config.inventory == tmp_path / "stock"
    assert [str(folder) for folder in config.cookbooks] == [f"{tmp_path}/books", "/opt/books"]
    assert config.ssh.identity == tmp_path / "keys/id"
    assert "~" not in str(config.ssh.known_hosts)


@pytest.mark.parametrize("said", ["false", '"none"'])
def test_no_ssh_config_is_read_where_it_is_switched_off(tmp_path: Path, said: str) -> None:
    assert load(written(tmp_path, f"[ssh]\nconfig = {said}\n")).ssh.config is False


def test_what_ssh_has_no_key_for_is_left_to_ssh_config(tmp_path: Path) -> None:
    ssh = load(written(tmp_path, '[ssh]\nconfig = "ours"\njump = ["a@b:22", "[fd00::1]"]\n')).ssh
    assert (ssh.user, ssh.identity, ssh.known_hosts) == (None, None, None)
    assert (ssh.config, ssh.jump) == (tmp_path / "ours", ("a@b:22", "[fd00::1]"))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            '[ssh]\njump = ["a", "-oProxyCommand=x"]\n',
            2,
            "ssh.jump.1: '-oProxyCommand=x': expected a jump host",
        ),
        ('[ssh]\njump = ["a:0"]\n', 2, "ssh.jump.0: 'a:0': expected a jump host"),
        ("[ssh]\nconfig = true\n", 2, "ssh.config"),
        ("[ssh]\nconect_timeout = 3\n", 2, "ssh.conect_timeout: unknown key; did you mean connect_timeout?"),
        ("lab = 1.5\n", 1, "lab: 1.5"),
        ("[probe]\n\ntries = 0\n", 3, "probe.tries: 0"),
        ('[probe]\nouter_source = { ipv4 = "x" }\n', 2, "probe.outer_source.ipv4: 'x'"),
        ('file = "x"\n', 1, "file: unknown key"),
        ("[traffic.service.web]\ndownlod = 1\n", 2, "did you mean download?"),
        ("[hooks]\ntimout = 3\n", 2, "hooks.timout: unknown key; did you mean timeout?"),
        ("[hooks]\ntimeout = 31\n", 2, "hooks.timeout: 31"),
        ('[hooks.webhok.sre]\nurl = "http://x"\n', 1, "hooks.webhok: unknown key; did you mean webhook?"),
        ("[hooks.log.sal]\nfle = 3\n", 2, "hooks.log.sal.fle: unknown key; did you mean file?"),
        ("[hooks.log.sal]\n", 1, "expected either file or syslog"),
        ('[hooks.log.sal]\nfile = "a"\nsyslog = "/dev/log"\n', 1, "expected either file or syslog"),
        ('[hooks.log.sal]\nsyslog = "log.example"\n', 2, 'expected "/dev/log", "udp://HOST:PORT"'),
        ('[hooks.log.sal]\nsyslog = "udp://h:99999"\n', 2, "Port out of range"),
        ('lab = false\n[hooks.webhook]\nurl = "http://x"\n', 2, "a name of its own: [hooks.KIND.NAME]"),
        ("lab = false\n[hooks.webhook.sre]\n", 2, "hooks.webhook.sre.url: Field required"),
        (ALERTMANAGER + 'matchers = ["service"]\n', 3, "hooks.alertmanager.am.matchers.0: 'service': "),
        (ALERTMANAGER + "matchers = [3]\n", 3, "expected NAME=VALUE"),
        (ALERTMANAGER + 'matchers = ["a={}"]\n', 3, "in braces stands the name of an argument"),
        (ALERTMANAGER + 'matchers = ["a={x.y}"]\n', 3, "in braces stands the name of an argument"),
        (ALERTMANAGER + 'matchers = ["a=x{2"]\n', 3, "expected '}'"),
        (ALERTMANAGER + "matchers = []\n", 3, "hooks.alertmanager.am.matchers: []"),
        ('[management]\nagent = "chef"\n', 2, "management.agent: 'chef'"),
        (
            '\n[management]\nagent = "command"\n',
            2,
            "management: agent = 'command' needs run",
        ),
        ("[management]\nrealservers = true\n", 1, 'management: with agent = "itself" nothing is run'),
        (
            '[management]\nagent = "puppet"\nrun = "puppet agent"\n',
            3,
            "management.run: Input should be a valid tuple",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(tmp_path: Path, text: str, line: int, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert f"{file}:{line}: " in str(error.value)
    assert said in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, "colour = 1\n[ssh]\nconcurrency = 0\n[probe]\ntries = -1\n"))
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("text", ["lab = ", "[ssh\n", "\x00"])
def test_what_is_no_toml_is_one_clear_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"ferryman\.toml: not TOML"):
        load(written(tmp_path, text))


def test_a_file_that_is_no_text_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "ferryman.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "ferryman.toml")


@pytest.mark.parametrize(
    "state",
    ["sqlite:", "mysql:x", "var/state.db", "etcd://", "etcd:///prefix", "etcd://a:x/p", "etcd://a,,b/p"],
)
def test_a_store_that_does_not_exist_is_refused(tmp_path: Path, state: str) -> None:
    with pytest.raises(ConfigError, match=r'ferryman\.toml:1: state: .*expected "sqlite:PATH" or "etcd://'):
        load(written(tmp_path, f'state = "{state}"\n'))


@pytest.mark.parametrize(
    ("state", "members", "prefix"),
    [
        ("etcd://a:1,b:2/sre/ferry", (("a", 1), ("b", 2)), "/sre/ferry"),
        ("etcd://a,[::1]:4", (("a", 2379), ("::1", 4)), "/ferryman"),
        ("etcd://127.0.0.1:2379/", (("127.0.0.1", 2379),), "/ferryman"),
    ],
)
def test_a_cluster_is_named_by_its_members_and_a_prefix(
    tmp_path: Path, state: str, members: tuple[tuple[str, int], ...], prefix: str
) -> None:
    config = load(written(tmp_path, f'state = "{state}"\n'))
    assert config.sqlite is None
    assert config.etcd_cluster == EtcdCluster(members, prefix)


def test_paths_of_certificates_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load(written(tmp_path, 'state = "etcd://a"\n[etcd]\nca = "tls/ca.pem"\n'))
    assert config.etcd.ca == tmp_path / "tls/ca.pem"
    assert config.etcd.cert is None


@pytest.mark.parametrize(
    ("text", "line", "key", "why"),
    [
        ('[etcd]\nca = "c"\n', 2, "ca", "is not used: state names no cluster"),
        ('[etcd]\nuser = "ferry"\npassword_file = "p"\n', 2, "user", "is not used: state names no cluster"),
        ('state = "etcd://b"\n[etcd]\ncert = "c"\nkey = "k"\n', 3, "cert", "nothing goes over TLS then"),
        ('state = "etcd://b"\n[etcd]\nca = "a"\ncert = "c"\n', 4, "cert", "not used without etcd.key"),
        ('state = "etcd://b"\n[etcd]\nca = "a"\nkey = "k"\n', 4, "key", "not used without etcd.cert"),
        ('state = "etcd://b"\n[etcd]\nca = "a"\nuser = "u"\n', 4, "user", "without etcd.password_file"),
        ('state = "etcd://b"\n[etcd]\nca = "a"\npassword_file = "p"\n', 4, "password_file", "etcd.user"),
        (
            'state = "etcd://10.1.2.3"\n[etcd]\nuser = "u"\npassword_file = "p"\n',
            3,
            "user",
            r"would go to 10\.1\.2\.3 unencrypted.*set etcd\.ca",
        ),
    ],
)
def test_what_a_cluster_would_not_use_or_would_give_away_is_an_error(
    tmp_path: Path, text: str, line: int, key: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=rf"ferryman\.toml:{line}: etcd\.{key}: .*{why}"):
        load(written(tmp_path, text))


def test_a_password_may_go_to_this_very_machine_unencrypted(tmp_path: Path) -> None:
    text = 'state = "etcd://127.0.0.1,[::1]:4"\n[etcd]\nuser = "u"\npassword_file = "secret/etcd"\n'
    config = load(written(tmp_path, text))
    assert (config.etcd.user, config.etcd.password_file) == ("u", tmp_path / "secret/etcd")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("etcd://root:hunter2@a:1/p", "has a user or a password in it"),
        ("etcd://a:1,root:hunter2@b:1/p", "has a user or a password in it"),
        ("etcd://a:1/p?password=hunter2", "has a query or a fragment"),
        ("etcd://a:1?cert-allowed-cn=hunter2", "has a query or a fragment"),
        ("etcd://a:1/p#hunter2", "has a query or a fragment"),
    ],
)
def test_what_the_url_of_a_cluster_says_too_much_is_an_error_that_does_not_repeat_it(
    tmp_path: Path, state: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=rf"ferryman\.toml:1: state: {why}") as error:
        load(written(tmp_path, f'state = "{state}"\n'))
    assert "hunter2" not in str(error.value)


def test_a_service_has_its_own_traffic_over_the_common_one(tmp_path: Path) -> None:
    text = '[traffic]\nrequests = 5\ndownload = "/all"\n[traffic.service.web]\ndownload = "/web"\n'
    config = load(written(tmp_path, text))
    assert (config.traffic_for("web").download, config.traffic_for("web").requests) == ("/web", 5)
    assert config.traffic_for("maps").download == "/all"


def test_the_named_file_comes_first_then_the_environment_then_the_folders_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    above, named, spoken = written(tmp_path, ""), tmp_path / "named.toml", tmp_path / "env.toml"
    named.touch()
    spoken.touch()
    monkeypatch.delenv("FERRYMAN_CONFIG", raising=False)
    assert configfile.find(None, start=here) == above
    monkeypatch.setenv("FERRYMAN_CONFIG", str(spoken))
    assert configfile.find(None, start=here) == spoken
    assert configfile.find(named, start=here) == named


def test_a_named_file_that_is_absent_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "")
    monkeypatch.setenv("FERRYMAN_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigError, match=r"\$FERRYMAN_CONFIG: .*gone\.toml: no such file"):
        configfile.find(None, start=tmp_path)


def test_help_finds_the_cookbooks_even_when_the_rest_of_the_file_is_wrong(tmp_path: Path) -> None:
    file = written(tmp_path, 'cookbooks = ["books"]\ncolour = "blue"\n')
    assert configfile.cookbook_folders(file) == [tmp_path / "books"]
    assert configfile.cookbook_folders(written(tmp_path, "not toml")) == [tmp_path / "cookbooks"]


def test_hooks_have_names_and_several_of_one_kind_are_several_tables(tmp_path: Path) -> None:
    text = """
[hooks.alertmanager.codfw]
url = "http://127.0.0.1:9093"
matchers = ["service={service}", 'instance=~"{site}[0-9]{{4}}.*"']
[hooks.webhook.sre]
url = "https://hooks.example/services/T0SECRET"
[hooks.webhook.service-owners]
url = "https://hooks.example/services/T1SECRET"
[hooks.log.sal]
file = "var/sal.log"
[hooks.log.syslog]
syslog = "udp://[::1]"
"""
    hooks = load(written(tmp_path, text)).hooks
    assert [each.operator for each in hooks.alertmanager["codfw"].matchers] == ["=", "=~"]
    assert hooks.alertmanager["codfw"].matchers[1].value == "{site}[0-9]{{4}}.*"
    assert list(hooks.webhook) == ["sre", "service-owners"]
    assert hooks.log["sal"].file == tmp_path / "var/sal.log"
    assert str(hooks.log["syslog"].syslog) == "udp://[::1]:514"
    assert "SECRET" not in repr(hooks)


@pytest.mark.parametrize(
    "text",
    [
        '[hooks.webhook.sre]\nurl = "ftp://hooks.example/SECRET"\n',
        '[hooks.webhook.sre]\nurl = ["https://hooks.example/SECRET"]\n',
        '[hooks.webhook]\nurl = "https://hooks.example/SECRET"\n',
        '[hooks.alertmanager.am]\nurl = "https://alice:SECRET@am.example"\n',
        '[hooks.webhook.sre]\nuri = "https://hooks.example/SECRET"\n',
    ],
)
def test_what_is_wrong_is_said_without_the_secret_in_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, text))
    assert "hooks." in str(error.value)
    assert "SECRET" not in str(error.value)


SECRET = "hunter2-SECRET"
KEYS_WITH_SECRETS = [
    *("state", "hooks", "etcd", "hooks.timeout"),
    *(f"hooks.webhook.sre{key}" for key in ("", ".url")),
    *(f"hooks.alertmanager.am{key}" for key in ("", ".url", ".duration")),
    *(f"hooks.log.sal{key}" for key in ("", ".file", ".syslog", ".facility")),
    *(f"etcd.{key}" for key in EtcdConfig.model_fields),
    "management.run",
]
WRONG = [
    f'"{SECRET}"',
    f'"https://me:{SECRET}@host/x?token={SECRET}"',
    f'"http://host:{SECRET}/x"',
    f'"etcd://root:{SECRET}@a:x/p"',
    f'"udp://host:{SECRET}"',
    f'"http://h\u2100:{SECRET}@x/"',
    f'"agent --token {SECRET}"',
    f'["https://host/{SECRET}"]',
    f'{{ url = "https://host/{SECRET}", password = "{SECRET}" }}',
    f'{{ x = {{ url = 3, token = "{SECRET}" }} }}',
    f'"{SECRET}',
    f'"{SECRET}" x',
]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("key", KEYS_WITH_SECRETS)
def test_no_error_quotes_what_may_be_a_secret(tmp_path: Path, key: str, wrong: str) -> None:
    printed = "ferryman.toml: nothing was wrong with it"
    try:
        load(written(tmp_path, f"{key} = {wrong}\n"))
    except ConfigError as error:
        printed = str(error)
    assert "ferryman.toml" in printed
    assert SECRET not in printed


def test_without_a_table_the_catalog_is_the_file_in_place(tmp_path: Path) -> None:
    assert not load(written(tmp_path, "")).catalog.reviewed


def test_a_catalog_that_people_review_needs_the_branch_they_merge_into(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"catalog.*needs base, the branch that people merge into"):
        load(written(tmp_path, '[catalog]\nremote = "origin"\n'))
    assert load(written(tmp_path, '[catalog]\nbase = "production"\n')).catalog.reviewed


def test_to_push_there_must_be_a_remote(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="push needs remote"):
        load(written(tmp_path, '[catalog]\nbase = "main"\npush = true\n'))


@pytest.mark.parametrize(
    ("branch", "said"),
    [
        ("flip-{service}", "needs {run}"),
        ("{run}-{who}", "only {service}, {site} and {run}"),
        ("{run", "only"),
    ],
)
def test_each_run_needs_a_branch_of_its_own(tmp_path: Path, branch: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(written(tmp_path, f'[catalog]\nbase = "main"\nbranch = "{branch}"\n'))


def test_a_misspelt_key_of_the_catalog_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":3: catalog\.brnach: unknown key; did you mean branch\?"):
        load(written(tmp_path, '[catalog]\nbase = "main"\nbrnach = "x"\n'))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1", "1e400"])
@pytest.mark.parametrize(
    "key",
    [
        *("ssh.connect_timeout", "ssh.command_timeout", "probe.timeout", "probe.backoff", "traffic.timeout"),
        *("directors.drain_timeout", "directors.wait", "watch.every", "watch.soak", "catalog.merge_timeout"),
        *("catalog.poll", "management.timeout", "etcd.timeout", "hooks.timeout", "probe.tries", "probe.rate"),
    ],
)
def test_every_number_is_finite_and_in_its_range(tmp_path: Path, key: str, number: str) -> None:
    table, _, name = key.partition(".")
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, f"[{table}]\n{name} = {number}\n"))
    assert f"ferryman.toml:2: {key}: " in str(refused.value)


def test_the_tries_of_a_probe_end_in_an_hour_together(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"ferryman.toml:1: probe: timeout, backoff and tries: a silent target"
    ):
        load(written(tmp_path, "[probe]\ntimeout = 3000\nbackoff = 10\ntries = 20\n"))


def test_the_keys_at_its_top_are_known_before_the_schema_is() -> None:
    assert set(Config.model_fields) - {"file"} == KEYS


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", ".ferryman/state.db"),
        ('state = "sqlite:runs.db"\n[probe]\ntries = "many"\n', "runs.db"),
        ('state = "sqlite:/var/lib/runs.db"\n', "/var/lib/runs.db"),
        ('state = "etcd://etcd1:2379/ferryman"\n', None),
        ('state = "sqlite:"\n', None),
        ("state = 3\n", None),
        ("state = [\n", None),
        ('states = "sqlite:runs.db"\n', None),
        ('[etcd]\nca = "ca.pem"\n', None),
    ],
)
def test_the_journal_is_known_without_the_schema_only_where_nothing_else_can_be_meant(
    text: str, named: str | None, tmp_path: Path
) -> None:
    (tmp_path / "ferryman.toml").write_text(text)
    expected = None if named is None else tmp_path / named
    assert sqlite_file(tmp_path / "ferryman.toml") == expected
