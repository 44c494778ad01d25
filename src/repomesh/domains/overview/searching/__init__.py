"""Search and recall over all texts of a workspace."""
