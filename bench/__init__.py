"""Measures repomesh beside its floors, in one run: `make bench`."""
