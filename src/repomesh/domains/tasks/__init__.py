"""Tasks with dependencies, claimed under a lease."""
