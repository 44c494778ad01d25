"""What schemathesis is told besides the OpenAPI document. Loaded by it under SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import os
from typing import Any

import schemathesis

_WAIT_MAX_S = 0.05


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave the token alone that every request bears, and the agent that it speaks as."""
    if case.operation.label == "DELETE /v1/tokens/{token_id}":
        return case.path_parameters.get("token_id") != os.environ["FUZZ_TOKEN_ID"]
    return True


@schemathesis.hook
def before_call(context: Any, case: Any, **_: Any) -> None:
    """Let nobody wait for long: a run would otherwise consist of waiting."""
    if case.operation.path == "/v1/messages/wait" and "timeout_s" not in (case.query or {}):
        case.query = {**(case.query or {}), "timeout_s": _WAIT_MAX_S}
    for fields, name in ((case.query, "timeout_s"), (case.body, "wait_s")):
        if isinstance(fields, dict) and _is_long(fields.get(name)):
            fields[name] = _WAIT_MAX_S


def _is_long(value: object) -> bool:
    try:
        return _WAIT_MAX_S < float(value) <= 50  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
