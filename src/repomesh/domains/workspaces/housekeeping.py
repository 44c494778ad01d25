"""What a workspace forgets by itself."""

from __future__ import annotations

from datetime import timedelta

from repomesh.domains.workspaces.models import ForgetKeys, ForgottenKeys
from repomesh.kernel.limits import IDEMPOTENCY_KEPT_S
from repomesh.kernel.operation import command
from repomesh.store.transaction import Transaction, forget_idempotency_records


@command("idempotency.forget", scope="workspace:admin")
def forget_keys(tx: Transaction, request: ForgetKeys) -> ForgottenKeys:
    """Forget the results kept for Idempotency-Keys that nobody will send again."""
    before = tx.now - timedelta(seconds=IDEMPOTENCY_KEPT_S)
    return ForgottenKeys(count=forget_idempotency_records(tx, before))
