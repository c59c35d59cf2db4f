"""The applications of a server: the one that it was given, and those that something is wrapped around (LIFE-01).

Station: beside the server, which starts and stops them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gevent import Timeout  # type: ignore[import-untyped]  # no type information

if TYPE_CHECKING:
    from .services import Runtime

logger = logging.getLogger("wellhead.server")


class Applications:
    """Those that are started, and stopped in the same order. Each may have a ``start(runtime)`` and a ``stop()``."""

    def __init__(self, application: Any, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known = [application]

    def start(self) -> None:
        """Start the one that the server was given."""
        start = getattr(self._known[0], "start", None)
        if start is not None:
            start(self._runtime)

    def adopt(self, application: Any) -> bool:
        """Start one that the server was not given itself, since something is wrapped around it. False if it was started
        here before: it has stopped since, and somebody wanted that.
        """
        if any(each is application for each in self._known):
            return False
        self._known.append(application)
        try:
            application.start(self._runtime)
        except BaseException:
            self._known.remove(application)
            application.stop()  # what it began
            raise
        return True

    def stop(self, timeout_ms: int) -> None:
        """Stop all, within this time; errors are logged."""
        limit = Timeout(timeout_ms / 1000.0)
        try:
            with limit:
                for each in self._known:
                    _stop(each)
        except Timeout as timeout:
            if timeout is not limit:
                raise
            logger.error("The application did not stop within %d ms", timeout_ms)


def _stop(application: Any) -> None:
    stop = getattr(application, "stop", None)
    if stop is None:
        return
    try:
        stop()
    except Exception:
        # The border to the application: its failure must not keep the server from ending.
        logger.exception("Error while stopping the application")
