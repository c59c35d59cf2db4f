"""One SEND through all stations, in the order in which docs/architecture.md tells it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from kit.stomp import StompServer

from wellhead.messaging.handler.annotations import message_mapping, send_to
from wellhead.server.config.app import WellheadApp
from wellhead.server.config.configurer import WebSocketMessageBrokerConfigurer

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"


class Chat:
    @message_mapping("/room/{room}")
    @send_to("/topic/room/{room}")
    def say(self, text: str) -> str:
        return text.upper()


class Config(WebSocketMessageBrokerConfigurer):
    def register_stomp_endpoints(self, registry) -> None:
        registry.add_endpoint("/ws")

    def configure_message_broker(self, registry) -> None:
        registry.enable_simple_broker("/topic")
        registry.set_application_destination_prefixes("/app")


STATIONS = [
    # bytes -> frames -> messages
    ("server/subprotocol/endpoint.py", "handle_message"),
    ("server/subprotocol/stomp.py", "handle_message_from_client"),
    ("messaging/stomp/decoder.py", "decode"),
    ("messaging/stomp/frame_parser.py", "take_known_send"),
    ("messaging/stomp/decoder.py", "message_of"),
    # -> channel -> method
    ("server/subprotocol/stomp_session.py", "send"),
    ("messaging/subscribable.py", "send"),
    ("messaging/simp/annotated.py", "handle_message"),
    ("messaging/handler/dispatch.py", "dispatch"),
    ("tests/server/test_walk.py", "say"),
    ("messaging/simp/replies.py", "reply"),
    ("messaging/simp/template.py", "_do_send"),
    # -> channel -> broker
    ("messaging/subscribable.py", "send"),
    ("messaging/broker/simple.py", "_publish"),
    ("messaging/broker/subscriptions.py", "matching_subscriptions"),
    # -> channel -> frames -> bytes
    ("messaging/subscribable.py", "send_broadcast"),
    ("server/subprotocol/endpoint.py", "handle_broadcast"),
    ("server/subprotocol/stomp_outbound.py", "share"),
    ("server/subprotocol/shared_frame.py", "before_tail"),
    ("server/gathering.py", "send_text"),
    ("server/gathering.py", "flush"),
    ("tests/kit/flushing.py", "try_send"),
]
"""File and function; other calls may come between."""


def calls_of(action: Callable[[], object]) -> list[tuple[str, str]]:
    """File and name of all Python functions that *action* enters, in order."""
    calls: list[tuple[str, str]] = []
    names = {file: file for file, _ in STATIONS}

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            file = frame.f_code.co_filename.replace("\\", "/")
            short = "/".join(file.rsplit("/", 5)[1:])
            for name in names:
                if short.endswith(name):
                    calls.append((name, frame.f_code.co_name))

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.spec("SPH-02", "SPH-04", "CH-02", "ANN-01", "SB-03")
def test_one_send_passes_all_stations_in_order():
    with StompServer(WellheadApp(None, Config(), controllers=[Chat()])) as server:
        sender, subscriber = server.connected(), server.connected()
        subscriber.subscribe("/topic/room/7")
        calls = calls_of(lambda: sender.send("SEND", b"hi", destination="/app/room/7", content_type="text/plain"))
        rest = iter(calls)
        missing = [station for station in STATIONS if station not in rest]
        assert missing == []
        [message] = subscriber.received()
        assert message.body == b"HI"


def test_the_document_names_the_stations_in_this_order():
    text = DOCUMENT.read_text("utf-8")
    walk = text[text.index("## One SEND") : text.index("## Threads")]
    position = 0
    for file, _ in STATIONS:
        if file.startswith("tests/"):
            continue
        found = walk.find(file, position)
        assert found >= 0, f"{file} is not told after what comes before it"
        position = found
