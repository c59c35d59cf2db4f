"""Brokers: what subscribers are told, in memory or through a real broker."""
