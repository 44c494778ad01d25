"""Outgoing webhooks: events of the log, sent to whoever subscribed to them."""
