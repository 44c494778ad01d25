"""Templates: what meetings of a sort have in common."""
