"""A chat with rooms: ``python -m wellhead.server samples.chat.app:app`` and two browser windows."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from flask import Flask, render_template

from wellhead.messaging import (
    DestinationVariable,
    MessageBrokerRegistry,
    Payload,
    message_exception_handler,
    message_mapping,
    send_to,
    send_to_user,
    subscribe_mapping,
)
from wellhead.server import StompEndpointRegistry, WebSocketMessageBrokerConfigurer, WellheadApp

from . import scripts


@dataclass
class Line:
    name: str
    text: str


@dataclass
class Said(Line):
    at: str


class Chat:
    def __init__(self) -> None:
        self.said: dict[str, deque[Said]] = defaultdict(lambda: deque(maxlen=50))

    @message_mapping("/room/{room}")
    @send_to("/topic/room/{room}")
    def say(self, room: Annotated[str, DestinationVariable], line: Annotated[Line, Payload]) -> Said:
        if not line.name.strip() or not line.text.strip():
            raise ValueError("A line needs a name and a text.")
        said = Said(line.name.strip()[:40], line.text.strip()[:2000], datetime.now(UTC).isoformat())
        self.said[room].append(said)
        return said

    @subscribe_mapping("/room/{room}")
    def history(self, room: Annotated[str, DestinationVariable]) -> list[Said]:
        return list(self.said.get(room, ()))

    @message_exception_handler(Exception)
    @send_to_user("/queue/errors", broadcast=False)
    def refused(self, error: Exception) -> dict[str, str]:
        return {"message": getattr(error, "description", None) or str(error)}


class Config(WebSocketMessageBrokerConfigurer):
    def configure_message_broker(self, registry: MessageBrokerRegistry) -> None:
        registry.enable_simple_broker("/topic", "/queue")
        registry.set_application_destination_prefixes("/app")

    def register_stomp_endpoints(self, registry: StompEndpointRegistry) -> None:
        registry.add_endpoint("/ws").with_sockjs(client_library_url=scripts.sockjs())


pages = Flask(__name__)


@pages.get("/")
def index() -> str:
    return render_template("chat.html", stompjs=scripts.stompjs(), sockjs=scripts.sockjs())


app = WellheadApp(pages, Config(), controllers=[Chat()])
