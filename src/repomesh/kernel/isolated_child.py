"""The process in which `kernel.isolated` runs a function: it limits itself, reads, calls and answers."""

from __future__ import annotations

import os
import resource
import sys
from importlib import import_module

import orjson

_NICENESS = 5  # the server, which others wait for, comes first


def main() -> None:
    """Call the function that the arguments name with the JSON of standard input, and write its answer."""
    module, function, memory_bytes, cpu_s = sys.argv[1:]
    os.nice(_NICENESS)
    for kind, value in (
        (resource.RLIMIT_AS, int(memory_bytes)),
        (resource.RLIMIT_CPU, int(cpu_s)),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    call = getattr(import_module(module), function)
    sys.stdout.buffer.write(orjson.dumps(call(orjson.loads(sys.stdin.buffer.read()))))


if __name__ == "__main__":
    main()
