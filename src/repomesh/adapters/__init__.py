"""One folder per outside system, each behind a port; what the settings choose is put in at the start."""
