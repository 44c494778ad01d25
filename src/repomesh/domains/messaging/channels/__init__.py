"""Channels: where messages meet everybody who joined."""
