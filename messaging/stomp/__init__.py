"""STOMP: the pure frame codec, its headers, the decoder and the encoder of messages."""
