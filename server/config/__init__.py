"""The application object, and the registries that its configurers fill in."""
