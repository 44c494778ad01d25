"""Outgoing webhooks: events of the log, sent to the URLs that subscribed to them."""
