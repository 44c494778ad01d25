"""What schemathesis is told besides the OpenAPI document. Loaded by it under SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import schemathesis

_WAIT_MAX_S = 0.05
_KEPT = set(os.environ["FUZZ_KEPT"].split())
_KNOWN = json.loads(os.environ["FUZZ_KNOWN"])
_KNOWN_SHARE = 0.8  # of the valid requests; the others name agents, ids and keys that nobody knows
_CHANCE = random.Random(0)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave alone the token that every request bears, and the agent that it speaks as."""
    _keep_valid(case)
    if not case.operation.path.startswith(("/v1/tokens/", "/v1/agents/")) or case.method == "GET":
        return True
    return not _KEPT & set(map(str, (case.path_parameters or {}).values()))


@schemathesis.hook
def before_call(context: Any, case: Any, **_: Any) -> None:
    """Name what there is, or nothing would ever be found; let nobody wait for long."""
    if _keep_valid(case) and _CHANCE.random() < _KNOWN_SHARE:
        _name_known(case)
    if case.operation.path == "/v1/messages/wait" and "timeout_s" not in (case.query or {}):
        case.query = {**(case.query or {}), "timeout_s": _WAIT_MAX_S}
    for fields, name in ((case.query, "timeout_s"), (case.body, "wait_s")):
        if isinstance(fields, dict) and _is_long(fields.get(name)):
            fields[name] = _WAIT_MAX_S


def _keep_valid(case: Any) -> bool:
    """Whether a case is a valid one, which it stays: looked at again, a quoted text would seem too long."""
    data = case._meta  # `meta` would look again
    is_valid: bool = data is not None and data.generation.mode.is_positive
    if is_valid:
        case.freeze_metadata()
    return is_valid


def _name_known(case: Any) -> None:
    """Put ids that exist in the place of made-up ones, in most of the valid requests."""
    for header in ("X-Repomesh-Agent", "Idempotency-Key", "If-Match"):
        (case.headers or {}).pop(header, None)
    path, body = case.operation.path, case.body
    names = set(case.path_parameters or {})
    fields = body if isinstance(body, dict) else {}
    if "task_id" in names:
        found = _pick("claim" if "fencing_token" in fields else "task")
    elif "message_id" in names:
        found = _pick("message")
    elif "review_id" in names:
        found = _pick("review")
    elif "meeting_id" in names:
        found = _pick("meeting")
    elif "decision_id" in names:
        found = _pick("decision")
    elif path in ("/v1/locks/renew", "/v1/locks/release"):
        found = _pick("lock")
        fields.pop("resources", None)
    elif path == "/v1/reviews" and "reviewers" in fields:
        found = {"reviewers": ["alice", "bob"]}
    else:
        return
    for name, value in found.items():
        if name in names:
            case.path_parameters[name] = value
        elif name in fields:
            fields[name] = value


def _pick(what: str) -> dict[str, Any]:
    found: dict[str, Any] = _CHANCE.choice(_KNOWN[what])
    return found


def _is_long(value: object) -> bool:
    try:
        return _WAIT_MAX_S < float(value) <= 50  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
