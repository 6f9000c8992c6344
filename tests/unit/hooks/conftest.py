from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unit.hooks import web_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[web_server.WebServer]:
    with web_server.serving() as running:
        yield running
