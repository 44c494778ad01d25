"""Operations of hooks: look for news, deliver it, check whether a turn may end and a file be edited.

`hook.look` runs after every tool call of every agent and nearly always finds nothing: it reads three indexes
and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from repomesh.domains.agents.cli_sessions import rows as session_rows
from repomesh.domains.leases import leasing, literals, lost_leases, paths, resources, rows
from repomesh.domains.leases.conflicts import Targets
from repomesh.domains.leases.errors import ComparisonTooLarge, InvalidResource, LockConflict, TooManyLocks
from repomesh.domains.leases.models import AUTO_LOCK_NOTE, Lease, LostLease
from repomesh.domains.leases.resources import Resource
from repomesh.domains.leases.tables import leases
from repomesh.domains.messaging.delivery import operations as deliveries
from repomesh.domains.messaging.delivery.models import Route
from repomesh.domains.messaging.messages import envelope
from repomesh.domains.messaging.messages.receipts import unread_count
from repomesh.domains.overview.briefings.briefing import show_briefing
from repomesh.domains.overview.cli_hooks import rules as hook_rules
from repomesh.domains.overview.cli_hooks.models import (
    BlockingLock,
    Deliver,
    EndTurn,
    GuardEdit,
    GuardVerdict,
    HookText,
    LookAtSession,
    SessionView,
    ShowBriefing,
)
from repomesh.kernel import file_names, limits
from repomesh.kernel.operation import command, query
from repomesh.store.transaction import Transaction


@query("hook.look", scope="agents:read")
def look_at_session(tx: Transaction, request: LookAtSession) -> SessionView:
    """Check whether a CLI session is known, and whether there is anything to deliver to it."""
    own_id, row = session_rows.find_run(tx, request.cli, request.session_id, request.processes)
    if row is None or row.ended_at is not None or row.agent_status == "retired":
        return SessionView(session=None)
    due = request.deliver and _is_anything_due(tx, row.agent_id, request.cli, own_id)
    return SessionView(
        session=session_rows.as_session(row),
        binds=session_rows.binds(tx.caller, row),
        agent_type=row.agent_type,
        stop_blocks=row.stop_blocks,
        briefing_due=row.briefing_due,
        noted_s=(tx.now - row.last_hook_at).total_seconds(),
        due=due,
        undecided=deliveries.undecided_count(tx, request.cli, own_id) > 0,
    )


@command("hook.deliver", scope="messages:write", needs_agent=True)
def deliver(tx: Transaction, request: Deliver) -> HookText:
    """Deliver what waits for the acting agent: its briefing if wanted, warnings, new messages."""
    agent_id = tx.caller.acting_agent()
    ahead_texts = [_report_losses(tx, agent_id, request.boundary)]
    has_losses = bool(ahead_texts[0])
    if request.name_not_given is not None:
        ahead_texts.append(hook_rules.other_name_text(request.name_not_given, str(tx.caller.agent_name)))
    if request.briefing:
        ahead_texts.append(show_briefing(tx, ShowBriefing(max_chars=limits.BRIEFING_SHARE_CHARS)).text)
    ahead_texts += _write_warnings(tx, agent_id)
    message_ids = deliveries.candidates(tx, agent_id, request.cli, request.session_id)
    return _record_hook_text(
        tx, request, request.route, message_ids, "\n".join(filter(None, ahead_texts)), has_boundary=has_losses
    )


@command("hook.end_turn", scope="messages:write", needs_agent=True)
def end_turn(tx: Transaction, request: EndTurn) -> HookText:
    """Keep a turn from ending when the acting agent has not dealt with what is important."""
    row = session_rows.find(tx, request.cli, request.session_id)
    if row is None:
        return HookText(text="")
    pressing_ids = deliveries.pressing_message_ids(tx, tx.caller.acting_agent())
    new_ids = hook_rules.messages_to_hold_for(
        pressing_ids, row.stop_blocks, row.stop_told, request.loop_guard
    )
    if not new_ids:
        session_rows.change(tx, row, stop_blocks=0, stop_told=[])
        return HookText(text="")
    ahead_texts = [_report_losses(tx, tx.caller.acting_agent(), request.boundary), _BEFORE_YOU_END]
    hook_text = _record_hook_text(tx, request, "turn_end", new_ids, "\n".join(filter(None, ahead_texts)))
    told_ids = [*row.stop_told, *hook_text.message_ids][-limits.TURN_END_TOLD_MAX :]
    session_rows.change(tx, row, stop_blocks=row.stop_blocks + 1, stop_told=told_ids)
    return hook_text


@query("hook.guard", scope="locks:read", needs_agent=True, errors=(InvalidResource,))
def guard_edit(tx: Transaction, request: GuardEdit) -> GuardVerdict:
    """Check whether the acting agent may write files: conflicting locks, and what to do. Locks nothing."""
    return _judge_edit(tx, request)


@command("hook.guard_and_lock", scope="locks:write", needs_agent=True, errors=(InvalidResource,))
def guard_and_lock(tx: Transaction, request: GuardEdit) -> GuardVerdict:
    """Check whether the acting agent may write files, and lock them for a short while when they are free."""
    verdict = _judge_edit(tx, request)
    if verdict.verdict != "free":
        return verdict
    held_patterns = [
        lease.resource
        for lease in leasing.held_by(tx, tx.caller.acting_agent())
        if _is_lasting_path_lock(lease)
    ]
    files = literals.decode_all(request.files, "files")
    free_names = (name for name in files if not paths.holds_any(held_patterns, name))
    lockable_paths = _as_lockable_paths(free_names)
    if not lockable_paths:
        return verdict
    ttl_s = tx.settings.auto_lock_ttl_s
    try:
        # `max_hold_s` keeps heartbeats from renewing it: it is for this edit only.
        leasing.grant(tx, lockable_paths, ttl_s=ttl_s, max_hold_s=ttl_s, note=AUTO_LOCK_NOTE)
    except (LockConflict, TooManyLocks, ComparisonTooLarge):  # the lock is refused, the edit is not
        return verdict
    return verdict


_BEFORE_YOU_END = (
    "[repomesh] Before you end your turn: these messages are unread and important. Answer them "
    "(send_message with parent_message_id), or acknowledge_message when there is nothing to say."
)


def _as_lockable_paths(names: Iterable[str]) -> list[Resource]:
    """The resources of those files that a lock can name; a name with a backslash, for example, can't be."""
    lockable_paths = []
    for name in names:
        try:
            lockable_paths.append(resources.path(name))
        except InvalidResource:
            continue
    return lockable_paths


def _is_lasting_path_lock(lease: Lease) -> bool:
    """Whether a lease is on files, and was not taken by the edit hook for the moment of an edit."""
    return lease.resource_type == resources.PATH and lease.note != AUTO_LOCK_NOTE


def _is_anything_due(tx: Transaction, agent_id: str, cli: str, session_id: str) -> bool:
    if deliveries.candidates(tx, agent_id, cli, session_id, most=1):
        return True
    if lost_leases.any_unreported(tx, agent_id):
        return True
    soonest = leasing.soonest_expiry(tx, agent_id)
    if soonest is None or soonest - tx.now > timedelta(seconds=max(limits.LEASE_WARNINGS_S)):
        return False
    return bool(_leases_to_warn_of(tx, agent_id))


def _leases_to_warn_of(tx: Transaction, agent_id: str) -> list[tuple[Lease, int]]:
    """The leases of whose expiry an agent is to be warned, each with the threshold reached, in seconds."""
    leases_and_thresholds = []
    warned_s_by_id = {row.id: row.warned_s for row in rows.live_of(tx, agent_id)}
    for lease in leasing.held_by(tx, agent_id):
        threshold_s = hook_rules.warning_threshold(lease, warned_s_by_id[lease.id], tx.now)
        if threshold_s is not None:
            leases_and_thresholds.append((lease, threshold_s))
    return leases_and_thresholds


def _write_warnings(tx: Transaction, agent_id: str) -> list[str]:
    lines: list[str] = []
    for lease, threshold_s in _leases_to_warn_of(tx, agent_id):
        if len(lines) < limits.BRIEFING_ITEMS_MAX:
            lines.append(hook_rules.warning_text(lease, tx.now))
            tx.execute(update(leases).where(leases.c.id == lease.id).values(warned_s=threshold_s))
    return lines


def _report_losses(tx: Transaction, agent_id: str, answer_id: str) -> str:
    """Report an agent's lost leases, which it must know first, and mark them as reported."""
    lost_now = lost_leases.unreported(tx, agent_id)
    if lost_now:
        lost_leases.mark_reported(tx, agent_id, [lease.id for lease in lost_now], answer_id)
    return hook_rules.losses_text(lost_now, limits.LOSSES_SHARE_CHARS)


def _record_hook_text(
    tx: Transaction,
    request: Deliver | EndTurn,
    route: Route,
    message_ids: Sequence[str],
    ahead_text: str,
    *,
    has_boundary: bool = False,
) -> HookText:
    """Wrap the first of the messages in an envelope, behind `ahead_text`, and record the delivery.

    With `has_boundary` the answer carries its boundary also without messages: its arrival can be noted.
    """
    if not message_ids:
        text = envelope.wrap([], 0, request.boundary, ahead=ahead_text).text if ahead_text else ""
        return HookText(text=text, boundary=request.boundary if has_boundary else None)
    agent_id = tx.caller.acting_agent()
    messages = deliveries.load_enclosed(tx, message_ids[: limits.DELIVERY_MESSAGES_MAX])
    wrapping = envelope.wrap(messages, unread_count(tx, agent_id), request.boundary, ahead=ahead_text)
    if not wrapping.message_ids:
        return HookText(text=wrapping.text, boundary=request.boundary if has_boundary else None)
    deliveries.record(tx, route, wrapping.boundary, wrapping.message_ids, request.cli, request.session_id)
    return HookText(text=wrapping.text, boundary=wrapping.boundary, message_ids=list(wrapping.message_ids))


def _judge_edit(tx: Transaction, request: GuardEdit) -> GuardVerdict:
    if tx.settings.guard == "off":
        return GuardVerdict(verdict="free", reason="", hindrances=[])
    locks_and_targets = leasing.blocking_locks(tx, _read_targets(request), tx.caller.agent_id)
    if not locks_and_targets:
        return GuardVerdict(verdict="free", reason="", hindrances=[])
    hindrances = [_as_blocking_lock(lease, target) for lease, target in locks_and_targets]
    verdict: Any = "denied" if tx.settings.guard == "deny" else "warned"
    past_locks = _find_own_past_locks(tx, [target for _, target in locks_and_targets])
    reason = hook_rules.denial_text(hindrances, past_locks, tx.now, request.unresolved)
    return GuardVerdict(verdict=verdict, reason=reason, hindrances=hindrances)


def _find_own_past_locks(tx: Transaction, names: Sequence[str]) -> list[LostLease]:
    """The newest lease that the acting agent lost on each of these files."""
    agent_id = tx.caller.agent_id
    if agent_id is None:
        return []
    past_locks = [
        lost_leases.on_path(tx, agent_id, name) for name in dict.fromkeys(names[: limits.BRIEFING_ITEMS_MAX])
    ]
    return list({past_lock.id: past_lock for past_lock in past_locks if past_lock is not None}.values())


def _read_targets(request: GuardEdit) -> Targets:
    """The targets that a request names. A glob that is no valid lock pattern counts as its folder."""
    if request.unresolved:
        return Targets(folders=[""])
    folders, patterns = literals.decode_all(request.folders, "folders"), []
    for text in request.globs:
        try:
            patterns += resources.all_paths(text)
        except InvalidResource:
            folders.append(hook_rules.folder_of_glob(text))
    return Targets(literals.decode_all(request.files, "files"), folders, patterns)


def _as_blocking_lock(lease: Lease, path: str) -> BlockingLock:
    return BlockingLock(
        path=file_names.shown(path),
        resource=lease.resource,
        mode=lease.mode,
        holder=lease.agent_id,
        holder_name=lease.agent_name,
        expires_at=lease.expires_at,
    )
