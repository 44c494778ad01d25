"""Minutes and replays: looking back on a meeting."""
