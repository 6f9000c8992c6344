"""A silence: what is asked for, and what of an Alertmanager that is ill or is none.

The server here is a double with fixed answers; ``tests/lab/test_hooks.py`` has the real one.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ferryman.config.hooks import AlertmanagerConfig
from ferryman.hooks import Alertmanager, HookError, RunNotice
from unit.hooks.notices import BEGUN, REQUEST, ended
from unit.hooks.web_server import Answer, WebServer, fails

EMPTY = Answer(body=b"[]")
MADE = Answer(body=b'{"silenceID": "5a11"}')


def silences(*listed: tuple[str, str, str]) -> Answer:
    found = [
        {
            "id": name,
            "comment": comment,
            "startsAt": "2026-11-22T22:00:00.000Z",
            "endsAt": "2026-11-22T22:30:00.000Z",
            "status": {"state": state},
        }
        for name, state, comment in listed
    ]
    return Answer(body=json.dumps(found).encode())


def own(state: str = "active", name: str = "0b5e") -> tuple[str, str, str]:
    return name, state, f"ferryman {BEGUN.run}: migrate"


OTHERS = ("07e5", "active", "ferryman 20261122-000000-zzzz: migrate, and not 20261122-221943-abcd")


def alertmanager(server: WebServer, *matchers: str) -> Alertmanager:
    table = {"url": f"{server.url}/am/", "matchers": matchers or ["service={service}"]}
    return Alertmanager(AlertmanagerConfig.model_validate(table), 5)


def given(**arguments: object) -> RunNotice:
    return replace(BEGUN, request=replace(REQUEST, arguments=arguments))


def test_an_argument_that_the_run_has_not_is_never_a_wider_silence(server: WebServer) -> None:
    for arguments in ({"site": "x"}, {"service": None}, {"service": ""}, {"service": ["a", "b"]}):
        with pytest.raises(HookError, match=r"no silence was made: the matcher service=\{service\} wants"):
            alertmanager(server).begun(given(**arguments))
    assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(body=b"<html>welcome</html>"), "no answer of Alertmanager's API v2: '<html>welcome</html>'"),
        (Answer(body=b'{"status": "success"}'), "no answer of Alertmanager's API v2"),
        (fails(503, "no"), "answered 503"),
    ],
)
def test_a_silence_that_was_not_made_says_what_that_means(
    server: WebServer, answer: Answer, said: str
) -> None:
    server.answers |= {"GET": EMPTY, "POST": answer}
    with pytest.raises(HookError, match=said) as error:
        alertmanager(server).begun(BEGUN)
    assert "alerts may fire" in str(error.value)


def test_a_silence_that_could_not_be_ended_says_for_how_long_it_stays(server: WebServer) -> None:
    server.answers |= {"GET": silences(own()), "DELETE": fails(500, "no")}
    with pytest.raises(HookError, match="its silence may stay, for 900 seconds at most"):
        alertmanager(server).ended(ended())


def test_the_silence_is_of_this_run_and_names_it(server: WebServer) -> None:
    server.answers |= {"GET": silences(OTHERS, own("expired")), "POST": MADE}
    alertmanager(server, "service={service}", 'instance=~"{site}.*"', "severity!=page").begun(BEGUN)
    (body,) = server.bodies
    assert server.asked[-1].path == "/am/api/v2/silences"
    assert "id" not in body
    assert body["createdBy"] == "bob@cumin2"
    assert body["comment"] == (
        "ferryman 20261122-221943-abcd: migrate service=web site=codfw begins. IPIP for web (T123)"
    )
    assert body["matchers"] == [
        {"name": "service", "value": "web", "isRegex": False, "isEqual": True},
        {"name": "instance", "value": "codfw.*", "isRegex": True, "isEqual": True},
        {"name": "severity", "value": "page", "isRegex": False, "isEqual": False},
    ]


def test_in_a_pattern_an_argument_stands_for_itself_alone(server: WebServer) -> None:
    server.answers |= {"GET": EMPTY, "POST": MADE}
    alertmanager(server, "a=~{service}[0-9]{{2}}", "b={service}").begun(given(service="w.b"))
    assert [each["value"] for each in server.bodies[0]["matchers"]] == [r"w\.b[0-9]{2}", "w.b"]


def test_the_silence_of_an_earlier_process_is_renewed(server: WebServer) -> None:
    server.answers |= {"GET": silences(OTHERS, own()), "POST": MADE}
    alertmanager(server).begun(BEGUN)
    assert server.bodies[0]["id"] == "0b5e"
    assert server.bodies[0]["startsAt"] == "2026-11-22T22:00:00.000Z"


@pytest.mark.parametrize("outcome", ["done", "rolled-back", "interrupted", "refused", "error"])
def test_only_silences_of_the_run_end_with_it(server: WebServer, outcome: str) -> None:
    server.answers["GET"] = silences(OTHERS, own("expired", "01d"), own(), own("pending", "0b5f"))
    assert alertmanager(server).ended(ended(outcome)) == ""  # type: ignore[arg-type]  # of the list above
    deleted = [each.path for each in server.asked if each.method == "DELETE"]
    assert deleted == ["/am/api/v2/silence/0b5e", "/am/api/v2/silence/0b5f"]


@pytest.mark.parametrize("outcome", ["held", "stranded", "busy"])
def test_while_the_run_is_open_the_silence_stays_and_that_is_said(server: WebServer, outcome: str) -> None:
    server.answers["GET"] = silences(OTHERS, own())
    said = alertmanager(server).ended(ended(outcome))  # type: ignore[arg-type]  # of the list above
    assert f"silence 0b5e stays until 2026-11-22T22:30:00.000Z, for the run is {outcome}" in said
    assert [each.method for each in server.asked] == ["GET"]
