"""One server for all clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.needs import CLIENTS
from kit.programs import ServerProgram, server_program


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProgram]:
    """Serves app.py of this folder."""
    with server_program("app:app", folder=CLIENTS) as program:
        yield program
