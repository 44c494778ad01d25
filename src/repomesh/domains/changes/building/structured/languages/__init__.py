"""What of each language is an entity, for the sources that tree-sitter reads."""
