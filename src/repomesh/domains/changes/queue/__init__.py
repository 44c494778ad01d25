"""The merge queue: lanes, batches, landings, and what its workers record."""
