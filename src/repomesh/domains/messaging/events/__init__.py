"""The event log as agents see it, and the events that they post to it."""
