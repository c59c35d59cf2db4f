"""samples.conformance with two interceptors on its outbound channel that only count what passes: every delivery.

``python -m wellhead.server benchmarks.counting_app:app --port N`` serves it. Those of ``of_broadcasts`` count the
recipients of a broadcast in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class BroadcastCounter(Counter):
    """The same, without need of the messages."""

    def pre_send_broadcast(self, broadcast: Any, recipients: Sequence[Any], channel: MessageChannel) -> Sequence[Any]:
        self.count += len(recipients)
        return recipients


class Counting(Conformance):
    def __init__(self, counter: type[Counter]) -> None:
        super().__init__()
        self.counter = counter

    def configure_client_outbound_channel(self, registration: ChannelRegistration) -> None:
        registration.interceptors(self.counter(), self.counter())


app = WellheadApp(not_found, Counting(Counter), controllers=[Controller()])
of_broadcasts = WellheadApp(not_found, Counting(BroadcastCounter), controllers=[Controller()])
