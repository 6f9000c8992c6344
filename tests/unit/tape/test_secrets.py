"""Secrets never get into a tape: planted ones are looked for in everything that a run records."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ferryman.errors import VerifyError
from ferryman.events import FindingMade, Occurrence
from ferryman.hosts.fake import FakeHosts
from ferryman.hosts.verbs import ReadVerb
from ferryman.hosts.verbs.keepalived import FileReading, KeepalivedRead, KeepalivedReading, KeepalivedWrite
from ferryman.model import Finding, Verdict
from ferryman.tape.appending import TapeWriter
from ferryman.tape.recorder import Recorder
from ferryman.tape.recording import RecordingHosts
from ferryman.tape.secrets import Secrets
from unit.tape.samples import HEADER

if TYPE_CHECKING:
    from pathlib import Path

    from ferryman.hosts.completed import Completed

SECRET = "hunter2!"  # planted
CONFIG = f"vrrp_instance a {{\n authentication {{\n auth_type PASS\n auth_pass {SECRET}\n }}\n}}\n"
KEEPALIVED = KeepalivedReading((), "Keepalived v2", (), {"/etc/k.conf": FileReading(CONFIG, "0600")})


@pytest.mark.parametrize(
    "text",
    [
        f"https://robot:{SECRET}@git.example.org/catalog",
        f"Authorization: Bearer {SECRET}",
        f'{{"token": "{SECRET}"}}',
        f"password={SECRET} host=db",
        f"--api-key {SECRET}",
        f"curl -H 'authorization: Basic {SECRET}'",
        f"MY_SECRET='{SECRET}'",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}",
    ],
)
def test_a_secret_in_a_text_is_taken_out_and_the_rest_stays(text: str) -> None:
    left = Secrets().without({"a": [text]})["a"][0]
    assert SECRET not in left
    assert left.partition(SECRET)[0][:4] == text[:4]


@pytest.mark.parametrize("text", ["rp_filter = 1", "web1: ipip0 is down", "auth_type PASS", "keyring of 3"])
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert Secrets().without(text) == text


def test_equal_secrets_are_equal_afterwards_and_not_those_of_another_tape() -> None:
    secrets = Secrets()
    first, again = (secrets.without(f"password: {SECRET}") for _ in range(2))
    assert first == again
    assert secrets.without("password: other") != first
    assert Secrets().without(f"password: {SECRET}") != first


@dataclass(frozen=True)
class ReadPin(ReadVerb[str]):
    """A cookbook's own question, whose answer has what only it knows to be secret."""

    name = "read-pin"
    script = "cat /etc/pin"
    secrets = (r"pin (\d+)",)

    def parse(self, done: Completed) -> str:
        return done.stdout


def test_what_a_verb_names_as_secret_is_taken_out_of_its_answers_and_errors(tmp_path: Path) -> None:
    recorder, hosts = Recorder(), FakeHosts()
    hosts.answer("web1", ReadPin, "the pin 271828 opens it")
    hosts.answer("web2", ReadPin, VerifyError("web2: the pin 271828 is wrong"))
    recorder.start(TapeWriter(tmp_path / "a.tape", HEADER))
    recorded = RecordingHosts(hosts, recorder)
    recorded.read_all({"web1": ReadPin(), "web2": ReadPin()})
    recorded.read_together({"web1": [ReadPin()], "web2": [ReadPin(), ReadPin()]})
    recorder.close({"outcome": "done", "exit_code": 0, "reason": "", "seconds": 0})
    text = gzip.decompress((tmp_path / "a.tape").read_bytes()).decode()
    assert "opens it" in text
    assert "is wrong" in text
    assert "271828" not in text


def test_planted_secrets_are_nowhere_in_a_tape(tmp_path: Path) -> None:
    recorder = Recorder()
    hosts = FakeHosts()
    hosts.answer("lvs1", KeepalivedRead, KEEPALIVED)
    hosts.answer("lvs1", KeepalivedWrite, VerifyError(f"lvs1: bad line: auth_pass {SECRET}"))
    recorded = RecordingHosts(hosts, recorder)
    recorder.start(TapeWriter(tmp_path / "a.tape", HEADER))
    assert recorded.read("lvs1", KeepalivedRead("/etc/k.conf")).files["/etc/k.conf"].text == CONFIG
    with pytest.raises(VerifyError):
        recorded.write(
            "lvs1",
            KeepalivedWrite("/etc/k.conf", "true", {"/etc/k.conf": CONFIG}, {"/etc/k.conf": CONFIG + "#"}),
        )
    found = Finding("x", "lvs1", Verdict.WARN, f"password={SECRET}", "")
    recorder.heard(Occurrence("", "", FindingMade(0, found)))
    recorder.close({"outcome": "refused", "exit_code": 3, "reason": f"token: {SECRET}", "seconds": 0})
    text = gzip.decompress((tmp_path / "a.tape").read_bytes()).decode()
    assert SECRET not in text
    calls = [entry[2] for line in text.splitlines()[1:] if isinstance(entry := json.loads(line), list)]
    read, write = calls[0], calls[1]
    kept = read["value"]["files"]["/etc/k.conf"]["text"]
    assert kept == write["arguments"]["old"]["/etc/k.conf"], "equal texts must still be equal"
