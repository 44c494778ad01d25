"""Suggested topics: what a team should meet about, and why."""
