"""Webhooks: commands on sessions from anywhere that can send JSON."""
