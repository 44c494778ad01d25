"""Several commands in one transaction."""
