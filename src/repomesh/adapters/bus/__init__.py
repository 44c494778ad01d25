"""The bus: wakes the readers of the log after a commit. Its hints may be lost; the event log is the truth."""
