"""Liveness: heartbeats that renew leases, and what is done about agents and servers that were silent."""
