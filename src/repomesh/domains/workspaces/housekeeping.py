"""Housekeeping: delete old records of a workspace."""

from __future__ import annotations

from repomesh.domains.workspaces.models import ForgetKeys, ForgottenKeys
from repomesh.domains.workspaces.server_downtime import silent_before
from repomesh.kernel.limits import HOUSEKEEPING_S, IDEMPOTENCY_KEPT_S
from repomesh.kernel.operation import Due, command
from repomesh.store.due import due_at
from repomesh.store.tables import idempotency_records
from repomesh.store.transaction import FORGOTTEN_MAX, Transaction, forget_idempotency_records

_table = idempotency_records.c
_OLD = due_at(_table.workspace_id, _table.at, after_s=IDEMPOTENCY_KEPT_S)


@command(
    "idempotency.forget",
    scope="workspace:admin",
    due=(Due(lambda _: _OLD, every_s=HOUSEKEEPING_S),),
)
def forget_keys(tx: Transaction, request: ForgetKeys) -> ForgottenKeys:
    """Delete the results stored for Idempotency-Keys that nobody will send again."""
    cutoff = silent_before(tx, IDEMPOTENCY_KEPT_S)  # while the server is away, nobody can repeat a request
    count = forget_idempotency_records(tx, cutoff)
    return ForgottenKeys(count=count, complete=count < FORGOTTEN_MAX)
