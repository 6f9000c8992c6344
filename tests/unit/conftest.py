from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ferryman.engine.signals import HANDLED
from tools import real_inventory
from unit.left_out import is_left_out

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: minutes; only with -m slow")
    if "not extended" in config.option.markexpr:
        from hypothesis import settings  # noqa: PLC0415  # takes half a second, which no other run need wait for

        settings.register_profile("brief", settings(), max_examples=25)
        settings.load_profile("brief")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark scenes that take long, before ``-m`` looks; leave out what is slow, unless it was asked for."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and is_left_out(item.path.relative_to(here).as_posix(), item.name):
            item.add_marker(pytest.mark.extended)
    if "slow" in config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session", autouse=True)
def no_names_from_the_network() -> Iterator[None]:
    """No unit test asks a name server: only addresses and this machine's own name are known."""
    asked = socket.getaddrinfo

    def known(host: bytes | str | None, *args: Any, **options: Any) -> list[Any]:  # noqa: ANN401  # as it has them
        name = host.decode() if isinstance(host, bytes) else host
        if name not in {None, "", "localhost"} and not name.replace(".", "").isdigit() and ":" not in name:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return asked(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", known)
        yield


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A command run in this process leaves signals ignored, and what is started later inherits that."""
    before = {each: signal.getsignal(each) for each in HANDLED}
    yield
    for each, handler in before.items():
        if signal.getsignal(each) is not handler:
            signal.signal(each, handler)


@pytest.fixture(scope="session")
def wmf() -> Path:
    """The folder with the real catalog and nodes."""
    return real_inventory()
