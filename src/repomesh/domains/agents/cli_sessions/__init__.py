"""Sessions of agent CLIs: when they begin and end, and which agent each belongs to."""
