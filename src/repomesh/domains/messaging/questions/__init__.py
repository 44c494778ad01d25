"""Questions: what agents ask people, and what comes of it."""
