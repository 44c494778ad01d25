"""Pure decisions on leases."""

from __future__ import annotations

from repomesh.domains.leases.models import Mode


def exclude_each_other(mode: Mode, other_mode: Mode) -> bool:
    """Whether two holders may not have these modes at once: only shared allows shared."""
    return (mode, other_mode) != ("shared", "shared")  # so that a mode that can't be read excludes


def obstacle_hint(holder_name: str, *, waiting: bool) -> str:
    """The hint of an obstacle: what a caller can do about a lease, or a request that waits ahead."""
    if waiting:
        return f"'{holder_name}' asked for it first; send wait_s to queue behind, or take something else."
    return f"Ask '{holder_name}' to release it, send wait_s to wait for it, or take something else."
