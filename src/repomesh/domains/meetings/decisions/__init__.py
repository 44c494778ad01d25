"""Decisions: what holds, why, who agreed, and what became of it."""
