"""Planning: divide the files that a request touches among tasks, and check proposed plans.

Pure functions over a list of paths and a callable that reads one file; no server, database or clock.
"""
