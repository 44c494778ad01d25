"""Agents, their instances, and who a request speaks for."""
