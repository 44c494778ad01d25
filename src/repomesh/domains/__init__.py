"""The words of the house: one folder per domain, each calling only those before it."""
