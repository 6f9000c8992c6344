from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from doubles import api_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[api_server.ApiServer]:
    with api_server.serving() as running:
        running.page = 2
        yield running
