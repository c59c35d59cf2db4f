"""Broadcasts as SockJS frames: the pieces come to what the codec and the transport would write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellhead.server.framing import WEB_SOCKET_TEXTS, text_header, whole_text
from wellhead.server.sockjs.eventsource import EventSourceTransport
from wellhead.server.sockjs.frame import decode_frame, messages_frame
from wellhead.server.sockjs.joined import WEB_SOCKET, streamed_texts
from wellhead.server.sockjs.options import JsonSockJsMessageCodec
from wellhead.server.sockjs.xhr import XhrStreamingTransport

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('%"\\\x00\n\u2028\ufff0\U0001f600'), max_size=20)
TRANSPORTS = [XhrStreamingTransport(), EventSourceTransport()]
CODEC = JsonSockJsMessageCodec()

pytestmark = pytest.mark.spec("SJS-06", "SJS-09")


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda transport: transport.name)
@given(before=TEXTS, tails=st.lists(TEXTS, min_size=1, max_size=4))
def test_a_streamed_broadcast_is_a_frame_for_each_text(transport, before, tails):
    framing = streamed_texts(transport.name, CODEC)
    own = framing.own(before.encode())
    written = own.join(framing.pieces(len(own), [tail.encode() for tail in tails]))
    wrap = transport.framing(None).wrap
    assert written == b"".join(wrap(messages_frame([before + tail])) for tail in tails)


@given(before=TEXTS, tails=st.lists(TEXTS, min_size=1, max_size=4))
def test_over_websocket_all_texts_are_one_frame(before, tails):
    own = WEB_SOCKET.own(before.encode())
    written = own.join(WEB_SOCKET.pieces(len(own), [tail.encode() for tail in tails]))
    frame = messages_frame([before + tail for tail in tails])
    assert written == text_header(len(frame)) + frame
    assert decode_frame(frame).messages == tuple(before + tail for tail in tails)


@pytest.mark.parametrize("transport", ["xhr", "htmlfile", "jsonp"])
def test_other_transports_get_messages(transport):
    assert streamed_texts(transport, CODEC) is None


def test_a_codec_of_the_users_gets_messages():
    class Own(JsonSockJsMessageCodec):
        pass

    assert streamed_texts("xhr_streaming", Own()) is None
    assert streamed_texts("xhr_streaming", CODEC) is not None


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda transport: transport.name)
@given(text=TEXTS)
def test_a_single_text_is_a_broadcast_without_a_tail(transport, text):
    wrap = transport.framing(None).wrap
    assert whole_text(streamed_texts(transport.name, CODEC), text.encode()) == wrap(messages_frame([text]))
    frame = messages_frame([text])
    assert whole_text(WEB_SOCKET, text.encode()) == text_header(len(frame)) + frame
    assert whole_text(WEB_SOCKET_TEXTS, text.encode()) == text_header(len(text.encode())) + text.encode()
