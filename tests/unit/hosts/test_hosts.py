from __future__ import annotations

import pytest

from ferryman.errors import CommandFailedError
from ferryman.hosts import Completed, HostAddress
from ferryman.hosts.completed import shown


def test_a_command_that_failed_names_host_command_status_and_first_lines_of_stderr() -> None:
    failed = Completed("lvs1", "ipvsadm -R", 2, "", "\nbad line 1\nbad line 2\nbad line 3\nbad line 4\n")
    with pytest.raises(CommandFailedError) as caught:
        failed.checked()
    assert str(caught.value) == (
        "lvs1: 'ipvsadm -R' ended with status 2: bad line 1 / bad line 2 / bad line 3"
    )


def test_a_command_that_complains_on_stdout_alone_is_quoted_too() -> None:
    with pytest.raises(CommandFailedError, match="status 1: no such service"):
        Completed("lvs1", "x", 1, "no such service\n", "").checked()


def test_a_silent_failure_says_that_it_was_silent() -> None:
    with pytest.raises(CommandFailedError, match="it printed nothing"):
        Completed("lvs1", "x", 1, "", "").checked()


def test_a_command_that_succeeded_hands_itself_on() -> None:
    done = Completed("lvs1", "x", 0, "out", "warning")
    assert done.checked() is done


def test_a_long_command_is_shown_on_one_line_and_cut() -> None:
    text = shown("cat <<E\n" + "x" * 500)
    assert "\n" not in text
    assert len(text) < 200


def test_a_host_without_an_address_is_dialled_by_its_name() -> None:
    assert HostAddress("web1").target == "web1"
    assert HostAddress("web1", "192.0.2.7").target == "192.0.2.7"
