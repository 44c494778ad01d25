"""Hooks: what agent CLIs tell of their sessions, and what they are answered."""
