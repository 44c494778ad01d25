"""What can go wrong with waits."""

from __future__ import annotations

from repomesh.kernel.errors import NotFound


class WaitNotFound(NotFound):
    """No such wait of the acting agent exists, or it was deleted because of its age."""

    code = "wait_not_found"
    hint = "Call wait_for_messages again: it answers at once what arrived in the meantime."
