"""The HTTP API: a loop over the registered operations."""
