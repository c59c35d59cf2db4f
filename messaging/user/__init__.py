"""Users: who is connected, and messages to them wherever their sessions are."""
