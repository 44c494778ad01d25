"""Connects agent CLIs: one file per CLI, the editing of their settings, what their hooks start."""
