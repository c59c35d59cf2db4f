"""Channels that run in native threads, beside the loop and with gevent's patches too: nothing is lost or overtaken."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from gevent.monkey import get_original
from kit.chat import Config
from kit.stomp_socket import StompSocket, serving, stomp

from wellhead.messaging.handler.annotations import DestinationVariable, message_mapping, send_to
from wellhead.server.config.app import WellheadApp

CLIENTS = 20
MESSAGES = 200
THREADS = 4

native_thread = get_original("_thread", "get_ident")


class Threaded(Config):
    """Inbound and outbound channel with native threads, and the order of publishing kept."""

    def configure_message_broker(self, registry: Any) -> None:
        super().configure_message_broker(registry)
        registry.set_preserve_publish_order(True)

    def configure_client_inbound_channel(self, registration: Any) -> None:
        registration.task_executor().core_pool_size(THREADS).use_native_threads()

    def configure_client_outbound_channel(self, registration: Any) -> None:
        registration.task_executor().core_pool_size(THREADS).use_native_threads()


class Echo:
    def __init__(self) -> None:
        self.threads: set[int] = set()

    @message_mapping("/echo/{name}")
    @send_to("/topic/echo/{name}")
    def echo(self, name: Annotated[str, DestinationVariable], number: int) -> int:
        self.threads.add(native_thread())
        return number


@pytest.mark.spec("CH-05", "CH-06", "SPH-07", "SB-06")
def test_every_session_gets_all_of_its_messages_in_their_order() -> None:
    echo = Echo()
    with serving(WellheadApp(None, Threaded(), controllers=[echo])) as served:
        loop = served.running.call(native_thread)
        clients: list[StompSocket] = []
        try:
            for number in range(CLIENTS):
                clients.append(served.connected())
                clients[-1].subscribe(f"/topic/echo/{number}", "own")
                clients[-1].subscribe("/topic/echo/0", "first")
            for start in range(0, MESSAGES, 50):
                for number, client in enumerate(clients):
                    for value in range(start, start + 50):
                        client.send(said(number, value))
            for number, client in enumerate(clients):
                got: dict[str, list[int]] = {"own": [], "first": []}
                for _ in range(2 * MESSAGES):
                    frame = client.next_frame()
                    got[dict(frame.headers)["subscription"]].append(json.loads(frame.body))
                assert got == {"own": list(range(MESSAGES)), "first": list(range(MESSAGES))}, number
        finally:
            for client in clients:
                client.close_socket()
    assert loop not in echo.threads
    assert 1 < len(echo.threads) <= THREADS


def said(number: int, value: int) -> str:
    data = stomp("SEND", b"%d" % value, destination=f"/app/echo/{number}", content_type="application/json")
    return data.decode()
