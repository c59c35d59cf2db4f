"""Sub-protocols over WebSocket: STOMP frames to messages and back, and the endpoint that holds the sessions."""
