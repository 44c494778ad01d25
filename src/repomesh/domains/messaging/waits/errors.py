"""What can go wrong with waits."""

from __future__ import annotations

from repomesh.kernel.errors import NotFound


class WaitNotFound(NotFound):
    """The acting agent began no such wait, or it is so old that it was forgotten."""

    code = "wait_not_found"
    hint = "Call wait_for_messages again: it answers at once what arrived in the meantime."
