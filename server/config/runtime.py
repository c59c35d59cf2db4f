"""What a server gives to the application that it starts: a clock, and pools for the channels that want one (CH-06)."""

from __future__ import annotations

from typing import Protocol

from ...messaging.config.channels import ExecutorFactory
from ...messaging.executor import TaskScheduler


class Runtime(ExecutorFactory, Protocol):
    """What the server gives the application when it starts it."""

    @property
    def scheduler(self) -> TaskScheduler: ...
