"""Connects agent CLIs: one module per CLI, the editing of their settings, and the hooks' program."""
