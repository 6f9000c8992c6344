"""The helper as it is printed, run as a process by the tests' own user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.hosts.completed import Completed
from ferryman.hosts.fence import Fence
from ferryman.hosts.framing import new_token, unframed
from ferryman.hosts.helper import render, sudo
from ferryman.hosts.helper.forms import FORMS, names_for
from ferryman.hosts.helper.needs import Allowed, literal
from ferryman.hosts.verbs.agents import AgentRevision
from ferryman.hosts.verbs.daemons import PybalRestart
from ferryman.hosts.verbs.fence import TakeOver
from ferryman.hosts.verbs.keepalived import KeepalivedRead
from ferryman.hosts.verbs.operator import OperatorQuestion
from ferryman.hosts.verbs.registry import ALL
from tools import first_of, require_tool
from unit.hosts.test_framing import HOSTILE
from unit.hosts.test_verbs import RUN_BY_DESIGN, SAMPLES, accepted, tools_that_do_nothing

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.hosts.helper.forms import HostPart
    from ferryman.hosts.verbs import Verb

__all__ = ["tools_that_do_nothing"]
THROUGH_SUDO = [sample for sample in SAMPLES if sudo.needs_sudo(sample)]
ANYTHING = {
    "commands": ["true", ["true"], ["git", "-C", "{folder}", "log"]],
    "files": ["/nowhere/"],
}
REFUSED = 95
MOST_RUN = 2
"""Hostile values of one argument that are sent; the words of all are looked at by the test after it."""


@dataclass
class Helper:
    """A helper that its own user may run; it takes nothing else for trusted."""

    folder: Path
    path: str

    def install(self, **constants: object) -> None:
        """Write it, with constants of its own."""
        own = {
            "OWNER": os.getuid(),
            "LISTED": str(self.folder / "commands"),
            "FOLDER": str(self.folder / "run"),
            "HOME": str(self.folder),
            "PATH": self.path,
        }
        self.program.write_text(render.program(**own | constants))
        self.program.chmod(0o755)

    @property
    def program(self) -> Path:
        return self.folder / "helper"

    def allow(self, text: str) -> None:
        """Give it this list."""
        (self.folder / "commands").write_text(text)

    def run(self, data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-IS", str(self.program), *arguments]
        return subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)

    def refused(self, data: bytes | dict[str, Any], *arguments: str) -> str:
        """Why it did nothing."""
        given = data if isinstance(data, bytes) else json.dumps(data).encode()
        done = self.run(given, *(arguments or ("take-over",)))
        assert done.returncode == REFUSED, done
        assert done.stdout == b""
        return done.stderr.decode().strip()

    def ask(self, verb: Verb[Any], fence: Fence | None = None) -> Completed:
        """A verb as the fleet asks for it."""
        token = new_token()
        done = self.run(sudo.request("here", verb, token, fence).encode(), verb.name)
        out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        raw = Completed("here", verb.shown, done.returncode, out, err)
        if (why := sudo.refusal(raw, "ferry", verb, token)) is not None:
            raise why
        return unframed(raw, token, verb)


@pytest.fixture(name="helper")
def a_helper(tmp_path: Path, tools: Path) -> Helper:
    made = Helper(tmp_path, f"{tools}:/usr/bin:/bin")
    made.install()
    made.allow(json.dumps(dict.fromkeys(FORMS, ANYTHING)))
    return made


def request(**parts: object) -> dict[str, Any]:
    """A request for ``take-over``, with some of its parts replaced."""
    return {**json.loads(sudo.request("here", TakeOver(), new_token(), None)), **parts}


def test_it_has_every_verb_that_needs_root_and_no_other() -> None:
    assert set(FORMS) == {name for name, verb in ALL.items() if verb.needs_root or not verb.reads}


def test_its_version_is_that_of_everything_that_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    before = render.version()
    assert f"VERSION = {before!r}" in render.program()

    monkeypatch.setattr(ALL["facts"], "script", "echo other")
    render.version.cache_clear()
    assert render.version() != before
    monkeypatch.undo()
    render.version.cache_clear()
    assert render.version() == before


def test_it_is_python_that_old_hosts_have() -> None:
    program = render.program()

    assert program.startswith("#!/usr/bin/python3 -IS\n")
    compile(program, "helper", "exec")
    assert "from __future__" not in program
    assert ":= " not in program


@pytest.mark.parametrize("sample", THROUGH_SUDO, ids=lambda sample: sample.name)
def test_it_takes_what_ferryman_sends(helper: Helper, sample: Verb[Any]) -> None:
    helper.ask(sample)


@pytest.mark.parametrize("sample", first_of(THROUGH_SUDO, 3), ids=lambda sample: sample.name)
def test_a_hostile_argument_is_refused_or_is_a_value_and_nothing_else(
    helper: Helper, sample: Verb[Any]
) -> None:
    for argument in fields(sample):
        if argument.name in RUN_BY_DESIGN:
            continue
        for verb in list(accepted(sample, argument.name))[:MOST_RUN]:
            done = helper.run(sudo.request("here", verb, new_token(), None).encode(), verb.name)
            assert done.returncode != 1 or b"Traceback" not in done.stderr, done
            assert not list(helper.folder.rglob("canary")), f"{argument.name}: {verb}"


@pytest.mark.parametrize("sample", first_of(THROUGH_SUDO, 3), ids=lambda sample: sample.name)
def test_a_hostile_word_that_no_verb_would_send_is_refused_or_is_a_value(
    helper: Helper, sample: Verb[Any]
) -> None:
    words = list(sample.words)
    for hostile in HOSTILE[:6]:
        for place in range(len(words) + 1):
            sent = json.loads(sudo.request("here", sample, new_token(), None))
            sent["words"] = [*words[:place], hostile, *words[place + 1 :]]
            done = helper.run(json.dumps(sent).encode(), sample.name)
            assert done.returncode == REFUSED, (sent["words"], done)
    assert not list(helper.folder.rglob("canary"))


@pytest.mark.parametrize("command", ["id", "true; id", "$(id)", "true\nid", "-c id", "TRUE"])
def test_an_operators_command_is_one_that_root_has_listed(helper: Helper, command: str) -> None:
    verb = PybalRestart(command)
    with pytest.raises(Exception, match=r"does not do what root has not listed: .* for pybal-restart"):
        helper.ask(verb)


def test_without_a_list_no_command_and_no_file_is_allowed(helper: Helper) -> None:
    (helper.folder / "commands").unlink()

    for verb in (AgentRevision(("true",)), KeepalivedRead("/nowhere/x")):
        with pytest.raises(Exception, match="does not allow"):
            helper.ask(verb)


@pytest.mark.parametrize(
    ("entry", "argv", "allowed"),
    [
        (["flip", "{service}", "{vip}:{port}"], ("flip", "web", "10.0.0.1:80"), True),
        (["flip", "{service}", "{vip}:{port}"], ("flip", "web", "[fd::1]:80"), False),
        (["flip", "{service}"], ("flip", "--help"), False),
        (["flip", "{service}"], ("flip", "web\nx"), False),
        (["flip", "{service}"], ("flip", "web", "more"), False),
        (["flip", "{service}"], ("flip",), False),
        (["flip", "{{service}}"], ("flip", "{service}"), True),
        (["flip", "{{service}}"], ("flip", "web"), False),
        ("flip {service}", ("flip web",), False),
    ],
)
def test_a_template_takes_plain_values_in_its_places(
    helper: Helper, entry: object, argv: tuple[str, ...], allowed: bool
) -> None:
    helper.allow(json.dumps({"agent-revision": {"commands": [entry], "files": []}}))
    sent = sudo.request("here", AgentRevision(argv), new_token(), None)

    done = helper.run(sent.encode(), "agent-revision")
    assert (done.returncode != REFUSED) is allowed


def test_a_text_for_sh_is_listed_as_a_text(helper: Helper) -> None:
    text = "echo ${HOME} {service}"
    entry = literal(text).replace(literal("{service}"), "{service}")
    helper.allow(render.commands({"operator-question": Allowed((entry,))}))

    assert helper.ask(OperatorQuestion(("echo ${HOME} web",), shell=True)).stdout == f"{helper.folder} web\n"
    for other in ("echo ${HOME} $(id)", "echo ${HOME} web; id", "echo ${PATH} web"):
        with pytest.raises(Exception, match="does not allow"):
            helper.ask(OperatorQuestion((other,), shell=True))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/nowhere/../etc/shadow",
        "/nowhere/x\n/etc/shadow",
        "/nowhere/.?/etc/shadow",
        "/nowhere/*",
        "/nowherelse/x",
        "nowhere/x",
        "",
    ],
)
def test_no_path_leads_out_of_what_root_has_listed(helper: Helper, path: str) -> None:
    sent = request()
    for words in ([path], ["/nowhere/a", path]):
        sent["words"] = words
        assert "/etc/shadow" not in helper.refused(sent, "keepalived-read").partition("refused")[0]


def test_a_link_out_of_a_listed_folder_leads_nowhere(helper: Helper, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link").symlink_to("/etc/passwd")
    listing = {"commands": [], "files": [f"{tmp_path}/own/"]}
    helper.allow(json.dumps({"keepalived-read": listing}))

    assert "does not allow" in helper.refused(request(words=[f"{tmp_path}/own/link"]), "keepalived-read")


# --- hostile requests ---


def test_a_verb_that_is_not_there(helper: Helper) -> None:
    assert "refused verb: there is no verb" in helper.refused(request(), "rm")
    assert "refused verb" in helper.refused(request(), "take-over", "facts")
    assert "refused verb" in helper.refused(request(), "")
    assert "refused verb" in helper.refused(request(), "host-routes"), "it needs no root"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\x00",
        b"\xff\xfe{}",
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"words":' * 10_000,
        b"[]",
        b"null",
        b"{}",
        b'"take-over"',
    ],
)
def test_what_is_no_request(helper: Helper, data: bytes) -> None:
    assert "refused request: " in helper.refused(data)


def test_ten_megabytes(helper: Helper) -> None:
    assert "refused size: the request is longer than 8388608 bytes" in helper.refused(b" " * 10_000_000)
    assert "refused size" in helper.refused(request(stdin="x" * 10_000_000))


@pytest.mark.parametrize(
    "parts",
    [
        {"token": "x"},
        {"token": None},
        {"token": "ferryman-0123456789abcdef\n"},
        {"words": None},
        {"words": {}},
        {"words": [1]},
        {"words": [None]},
        {"words": [["a"]]},
        {"words": ["a\0b"]},
        {"words": ["\ud800"]},
        {"words": ["x" * 200_000]},
        {"words": [""] * 30_000},
        {"stdin": None},
        {"stdin": 5},
        {"stdin": "\ud800"},
        {"fence": "x"},
        {"fence": ["a"]},
        {"fence": ["../x", 1]},
        {"fence": ["a/b", 1]},
        {"fence": ["a", -1]},
        {"fence": ["a", True]},
        {"fence": ["a", "1; id"]},
        {"fence": ["a", 1e400]},
        {"fence": ["", 1]},
        {"check": []},
        {"check": {"commands": 1, "files": []}},
        {"check": {"commands": [[]], "files": []}},
        {"more": 1},
    ],
)
def test_parts_of_other_types(helper: Helper, parts: dict[str, object]) -> None:
    assert "refused request: " in helper.refused(request(**parts))


@pytest.mark.parametrize("asked", ["0123456789abcdef", None, 5, [], ""])
def test_another_version(helper: Helper, asked: object) -> None:
    assert f"refused version: this is {render.version()}, and" in helper.refused(request(version=asked))


def test_words_and_input_that_a_verb_does_not_take(helper: Helper) -> None:
    assert "does not take 1 parameters" in helper.refused(request(words=["x"]))
    assert "takes nothing on standard input" in helper.refused(request(stdin="x"))
    assert "takes 3 parameters or more" in helper.refused(request(), "facts")
    assert "does not take 0 parameters" in helper.refused(request(), "connections")
    lines = request(words=["", ""], stdin="-e -t 10.0.0.1:80 -r 10.0.0.2:80 -i -w 1\n-C\n")
    assert "standard input of edit-table" in helper.refused(lines, "edit-table")


# --- who may have written it ---


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_it_does_nothing_where_others_may_write_it(helper: Helper, mode: int) -> None:
    helper.program.chmod(mode)
    assert "refused owner: " in helper.refused(request())


def test_it_does_nothing_in_a_folder_where_others_may_write(helper: Helper) -> None:
    helper.folder.chmod(0o777)
    assert f"refused owner: {helper.folder} may be written by others than root" in helper.refused(request())


def test_it_does_nothing_where_it_is_somebody_elses(helper: Helper) -> None:
    helper.install(OWNER=os.getuid() + 1)
    if os.getuid() == 0:
        os.chown(helper.program, 4711, 4711)
    assert "refused owner: " in helper.refused(request())


def test_a_link_to_it_is_not_it(helper: Helper) -> None:
    helper.program.rename(helper.folder / "real")
    helper.program.symlink_to(helper.folder / "real")
    assert "is no plain file" in helper.refused(request())


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"agent-revision": []}', '{"agent-revision": {"commands": []}}']
)
def test_a_list_that_is_none_allows_nothing(helper: Helper, text: str) -> None:
    helper.allow(text)
    assert "refused list: " in helper.refused(request(words=["true"]), "agent-revision")


# --- what runs ---


def test_the_environment_is_its_own(helper: Helper, monkeypatch: pytest.MonkeyPatch) -> None:
    helper.allow(json.dumps({"agent-revision": {"commands": [["env"]], "files": []}}))
    for name in ("LD_PRELOAD", "SUDO_UID", "GIT_DIR", "BASH_ENV", "ENV", "IFS"):
        monkeypatch.setenv(name, "")

    seen = dict(line.split("=", 1) for line in helper.ask(AgentRevision(("env",))).stdout.splitlines())
    assert set(seen) - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "USER", "LOGNAME", "SHELL"}


def test_status_both_outputs_and_bytes_that_are_no_text_come_back_as_they_are(helper: Helper) -> None:
    script = "cat; echo err >&2; exit 3"
    helper.allow(json.dumps({"operator-question": {"commands": [literal(script)], "files": []}}))

    done = helper.ask(OperatorQuestion((script,), shell=True, given="\udcff\udc80é\n"))
    assert (done.status, done.stdout, done.stderr) == (3, "\udcff\udc80é\n", "err\n")


def test_a_signal_is_a_status_as_a_shell_has_it(helper: Helper) -> None:
    helper.allow(json.dumps({"operator-question": {"commands": ["kill -9 $$"], "files": []}}))
    assert helper.ask(OperatorQuestion(("kill -9 $$",), shell=True)).status == 137


def test_the_fence_is_that_of_a_root_who_logs_in(helper: Helper) -> None:
    require_tool("flock", package="util-linux")
    first, second = Fence("run1", 1), Fence("run1", 2)

    assert helper.ask(TakeOver(), second).status == 0
    assert helper.ask(TakeOver(), first).status == 93
    assert (helper.folder / "run" / "run1.here").read_text() == "2\n"


def test_a_check_does_nothing_and_says_that_all_is_there(helper: Helper) -> None:
    check = json.loads(sudo.check({"take-over": Allowed(("true",))}).requests[0])
    done = helper.run(json.dumps(check).encode(), "take-over")

    assert done.stdout.decode() == f"ferryman-host-helper fit {render.version()}\n"
    assert not (helper.folder / "run").exists()
    check["check"]["commands"] = ["id"]
    assert 'has no "id" in commands of take-over' in helper.refused(check)


# --- sudo's lines ---


@pytest.mark.parametrize("part", ["realserver", "director"])
def test_sudoers_are_one_line_a_verb_without_wildcards_and_visudo_takes_them(
    tmp_path: Path, part: HostPart
) -> None:
    text = render.sudoers("ferry", part)
    rules = [line for line in text.splitlines() if line.startswith("ferry ")]

    assert [rule.split()[-1] for rule in rules] == list(names_for(part))
    assert not set(text.replace("!requiretty", "").replace("!lecture", "")) & set("*?[]!\\")
    require_tool("visudo", package="sudo")
    file = tmp_path / "ferryman"
    file.write_text(text)
    file.chmod(0o440)
    subprocess.run(["/usr/sbin/visudo", "-csf", str(file)], check=True, capture_output=True)


def test_a_realserver_allows_no_verb_of_a_director() -> None:
    only = set(names_for("director")) - set(names_for("realserver"))
    assert {"edit-table", "keepalived-write", "operator-command"} <= only
    writes = {name for name in names_for("realserver") if not ALL[name].reads}
    assert writes == {"take-over", "agent-run", "puppet-run", "edit-pod-routes"}


@pytest.mark.parametrize("user", ["", "a b", "root\nx ALL", "#0", "%sudo", "-x", "a,b"])
def test_a_user_that_sudoers_cannot_have_is_refused(user: str) -> None:
    with pytest.raises(Exception, match="expected letters"):
        render.sudoers_line(user, "facts")
