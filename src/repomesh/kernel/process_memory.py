"""Memory that is free in this process and given back to the system, as far as its C library can."""

from __future__ import annotations

import ctypes

from repomesh.kernel import limits

_M_MMAP_THRESHOLD = -3  # of mallopt in glibc's malloc.h


def map_large_blocks() -> None:
    """Have each large block of memory be a mapping of its own, which is returned as soon as it is freed.

    By itself glibc raises the size that counts as large with each freed block, up to 32 MiB; from then on
    blocks lie in arenas, of which free parts stay with the process. Does nothing with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, limits.MAPPED_BLOCK_BYTES_MIN)


def return_memory() -> None:
    """Give the free parts of all arenas back; takes some 10 ms. Does nothing with another C library."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
