"""Wakes subscribers after a commit. Hints only; the event log is the truth."""
