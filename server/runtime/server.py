"""The server."""

from __future__ import annotations

from typing import Any

from gevent.pywsgi import WSGIServer  # type: ignore[import-untyped]  # no type information

from .handler import WellheadHandler
from .services import Runtime


class WellheadServer(WSGIServer):  # type: ignore[misc]  # no type information
    handler_class = WellheadHandler
    backlog = 4096
    max_accept = 256

    def __init__(self, listener: Any, application: Any, **options: Any) -> None:
        WSGIServer.__init__(self, listener, application, **options)
        self.runtime = Runtime()
