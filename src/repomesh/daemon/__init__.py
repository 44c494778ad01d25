"""The daemon: a small process beside the CLIs of a repository, which wakes those that are idle."""
