"""Import and reference readers, one module for each language."""
