from __future__ import annotations

import pytest

from wellhead.server.concurrent import OverflowStrategy
from wellhead.server.config.transport import WebSocketTransportRegistration
from wellhead.server.decorators import WebSocketHandlerDecorator
from wellhead.server.transport_options import TransportOptions


@pytest.mark.spec("CFG-05")
def test_defaults():
    registration = WebSocketTransportRegistration()
    assert registration.message_size_limit == 65_536
    assert registration.send_time_limit_ms == 10_000
    assert registration.send_buffer_size_limit == 524_288
    assert registration.time_to_first_message_ms == 60_000
    assert registration.overflow_strategy is OverflowStrategy.TERMINATE
    assert registration.decorator_factories == []
    assert registration.web_socket == TransportOptions()


@pytest.mark.spec("CFG-05")
def test_every_setter_returns_the_registration():
    registration = WebSocketTransportRegistration()
    chained = (
        registration.set_message_size_limit(1)
        .set_send_time_limit(2)
        .set_send_buffer_size_limit(3)
        .set_time_to_first_message(4)
        .set_overflow_strategy(OverflowStrategy.DROP)
        .set_web_socket_options(deflate=True)
    )
    assert chained is registration
    assert (registration.message_size_limit, registration.send_time_limit_ms) == (1, 2)
    assert (registration.send_buffer_size_limit, registration.time_to_first_message_ms) == (3, 4)
    assert registration.overflow_strategy is OverflowStrategy.DROP
    assert registration.web_socket.deflate


@pytest.mark.spec("CFG-05")
@pytest.mark.parametrize(("size", "websocket"), [(65_535, 65_536), (65_536, 65_536), (65_537, 65_537)])
def test_the_limit_of_websocket_messages_follows_that_of_frames(size, websocket):
    registration = WebSocketTransportRegistration().set_message_size_limit(size)
    assert registration.web_socket.max_text_message_size == websocket
    assert registration.web_socket.max_binary_message_size == websocket


@pytest.mark.spec("CFG-05")
def test_an_option_that_does_not_exist():
    with pytest.raises(TypeError):
        WebSocketTransportRegistration().set_web_socket_options(colour="red")


class Factory:
    def decorate(self, handler):
        return WebSocketHandlerDecorator(handler)


@pytest.mark.spec("CFG-05", "WSA-05")
def test_decorator_factories_add_up():
    first, second, third = Factory(), Factory(), Factory()
    registration = WebSocketTransportRegistration().add_decorator_factory(first)
    registration.set_decorator_factories(second).set_decorator_factories([third])
    assert registration.decorator_factories == [first, second, third]


@pytest.mark.spec("CFG-05")
@pytest.mark.parametrize(
    ("setter", "name", "least"),
    [
        ("set_message_size_limit", "message_size_limit", 1),
        ("set_send_time_limit", "send_time_limit_ms", 0),
        ("set_send_buffer_size_limit", "send_buffer_size_limit", 0),
        ("set_time_to_first_message", "time_to_first_message_ms", 0),
    ],
)
def test_limits_that_make_no_sense_are_refused_at_once(setter, name, least):
    registration = WebSocketTransportRegistration()
    getattr(registration, setter)(least)
    with pytest.raises(ValueError, match=f"^{name} must be {least} or more, not {least - 1}$"):
        getattr(registration, setter)(least - 1)
    with pytest.raises(TypeError, match=f"^{name} must be a number, not '64k'$"):
        getattr(registration, setter)("64k")
    assert getattr(registration, name) == least


@pytest.mark.spec("CFG-05")
def test_negative_options_of_the_transport_are_refused_at_once():
    registration = WebSocketTransportRegistration().set_web_socket_options(mailbox_bytes=0)
    with pytest.raises(ValueError, match="^mailbox_bytes must be 0 or more, not -1$"):
        registration.set_web_socket_options(deflate=True, mailbox_bytes=-1)
    assert not registration.web_socket.deflate


@pytest.mark.spec("CFG-05")
def test_an_overflow_strategy_is_no_text():
    with pytest.raises(TypeError, match="takes a member of OverflowStrategy, not 'drop'"):
        WebSocketTransportRegistration().set_overflow_strategy("drop")
