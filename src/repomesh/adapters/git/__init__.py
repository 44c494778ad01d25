"""The only place that knows git: reads, merges, commits, refs, patches, bundles and work trees.

It runs git with an environment and a git folder of its own, so that no hook, filter, driver or setting of
the repository takes part (`commands`), and reads and writes objects through libgit2 (`repository`).
Everything here blocks: call it on a thread. pygit2 is an extra; `require_engine` says so where it is missing.
"""
