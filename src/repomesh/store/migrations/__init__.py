"""The migrations, one tree for both engines."""
