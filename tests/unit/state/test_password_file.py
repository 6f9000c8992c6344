"""The file with the password of etcd's user: trusted as ssh trusts a key, and never quoted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ferryman.config import EtcdConfig
from ferryman.errors import JournalError
from ferryman.state.etcd.login import Login, read_password

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "password"
    made.touch(0o600)
    made.write_bytes(b"hunter2\n")
    return made


@pytest.mark.parametrize("content", [b"hunter2", b"hunter2\n", b"hunter2\r\n"])
def test_one_line_is_the_password(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert read_password(file) == "hunter2"


def test_a_password_may_have_blanks_and_any_letters(file: Path) -> None:
    file.write_bytes(" kœur de lion \n".encode())
    assert read_password(file) == " kœur de lion "


def test_a_link_is_followed_as_to_a_mounted_secret(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert read_password(link) == "hunter2"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602, 0o601, 0o644, 0o666])
def test_one_that_others_may_use_is_refused_with_the_command_that_helps(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(ValueError, match=rf"mode {mode:04o}, so that others can use it: chmod 600 {file}"):
        read_password(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_one_of_another_user_is_refused(file: Path) -> None:
    os.chown(file, NOBODY, NOBODY)
    with pytest.raises(ValueError, match="must belong to root"):
        read_password(file)


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"a\0b", b"x" * 5000, b"caf\xe9"])
def test_what_is_no_password_is_refused_and_not_quoted(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"must have the password in one line|is no UTF-8") as error:
        read_password(file)
    assert "caf" not in str(error.value)


def test_a_folder_or_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path, pipe):
        with pytest.raises(ValueError, match="is no regular file"):
            read_password(path)


def test_a_login_without_its_file_names_the_key_and_the_file(tmp_path: Path) -> None:
    login = Login(EtcdConfig(user="ferry", password_file=tmp_path / "gone"), "etcd a:1/f")
    with pytest.raises(JournalError, match=r"etcd\.password_file: .*gone: No such file.*nothing was sent"):
        login.request()


@pytest.mark.parametrize("token", [None, "", 5, ["a"], "two\r\nX-Header: lines", "é"])
def test_a_token_that_is_no_header_is_no_token(token: object) -> None:
    with pytest.raises(JournalError, match="has no token"):
        Login(EtcdConfig(), "etcd a:1/f").take({"token": token})


def test_nothing_that_is_printed_of_a_login_has_its_secrets(file: Path) -> None:
    login = Login(EtcdConfig(user="ferry", password_file=file), "etcd a:1/f")
    login.take({"token": "token.7"})
    assert "token.7" not in repr(login)
    assert login.masked("it said token.7 again") == "it said … again"
