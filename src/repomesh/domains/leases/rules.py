"""Pure decisions on leases."""

from __future__ import annotations

from repomesh.domains.leases.models import Mode


def exclude_each_other(one: Mode, other: Mode) -> bool:
    """Whether two holders may not have these modes at once: only shared goes with shared."""
    return (one, other) != ("shared", "shared")  # so that a mode that can't be read excludes


def way_around(holder: str, *, waiting: bool) -> str:
    """What a caller can do about one obstacle."""
    if waiting:
        return f"'{holder}' asked for it first; send wait_s to queue behind, or take something else."
    return f"Ask '{holder}' to release it, send wait_s to wait for it, or take something else."
