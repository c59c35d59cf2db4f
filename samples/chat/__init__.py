"""A chat with rooms in a Flask application."""
