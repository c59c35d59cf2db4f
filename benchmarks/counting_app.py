"""samples.conformance with two interceptors on its outbound channel that only count what passes: every delivery.

``python -m wellhead.server benchmarks.counting_app:app --port N`` serves it.
"""

from __future__ import annotations

from typing import Any

from samples.conformance import Conformance, Controller, not_found
from wellhead.messaging import ChannelInterceptor, ChannelRegistration, Message, MessageChannel
from wellhead.server import WellheadApp


class Counter(ChannelInterceptor):
    """Counts what is sent and does nothing else."""

    def __init__(self) -> None:
        self.count = 0

    def pre_send(self, message: Message[Any], channel: MessageChannel) -> Message[Any]:
        self.count += 1
        return message


class Counting(Conformance):
    def configure_client_outbound_channel(self, registration: ChannelRegistration) -> None:
        registration.interceptors(Counter(), Counter())


app = WellheadApp(not_found, Counting(), controllers=[Controller()])
