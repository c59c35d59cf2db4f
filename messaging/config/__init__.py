"""Registries that an application fills in, and the assembly that makes plain objects of them."""
