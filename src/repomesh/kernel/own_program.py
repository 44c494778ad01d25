"""How this program starts itself as another process."""

from __future__ import annotations

import sys


def own_program(*words: str) -> list[str]:
    """The command line that runs `repomesh` with some arguments, with the current interpreter."""
    return own_module("repomesh.cli.main", *words)


def own_module(module: str, *words: str) -> list[str]:
    """The command line that runs one of our modules with some arguments, with the current interpreter.

    `-P` keeps the current folder off the search path of modules: it may be a clone whose author put a file
    there that is called like a module of ours. `-E` passes over a PYTHONPATH that names the folder, as many
    who develop have it.
    """
    return [sys.executable, "-E", "-P", "-m", module, *words]
