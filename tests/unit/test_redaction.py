"""Secrets are hidden wherever they stand, and what is none stays readable."""

from __future__ import annotations

import pytest

from ferryman.redaction import HIDDEN, redacted

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"        auth_pass {SECRET}",
        f"-  password: {SECRET} {SECRET}",
        f"+  db_password = '{SECRET} and {SECRET}'",
        f'{{"api_key": "{SECRET}", "user": "olga"}}',
        f"tool --token {SECRET} --verbose",
        f"tool --token={SECRET}",
        f"PGPASSWORD={SECRET} psql",
        f"pass: {SECRET}",
        f"curl -H 'Authorization: Basic {SECRET}{SECRET}'",
        f"X-Forwarded: Bearer {SECRET}{SECRET}",
        f"git push https://olga:{SECRET}@example.org/r.git",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
        f"client-secret   {SECRET}",
    ],
)
def test_a_secret_is_hidden(text: str) -> None:
    assert SECRET not in redacted(text)
    assert HIDDEN in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "ipvsadm -e -t [fd99::1]:80 -r [fd10::21]:80 -i -w 1",
        "ip -6 route replace fd10::21/128 via fd10::21 dev eth0 onlink proto 102 metric 870222441",
        "--- a/services.yaml\n+++ b/services.yaml\n@@ -1 +1,2 @@\n   scheduler: wrr\n+  ipip: [lab]\n",
        "kill -HUP $(cat /run/keepalived-lvs1.pid)",
        "git push ssh://example.org/r.git\nOperator: olga@control",
        "lvs2, secondary, forwards web through the tunnel",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_text_without_end_is_searched_in_no_time() -> None:
    """A pattern that begins anew at each place and runs to the end would take hours: this would not end."""
    text = "a" * 1_000_000
    assert redacted(text) == text
    assert redacted("://" * 100_000)
