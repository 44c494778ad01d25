"""What hooks ask of the server: is there anything to tell, tell it, may the turn end, may the file be edited.

The first question comes after every tool call of every agent, and nearly always the answer is no: it reads
three indexes and writes nothing.
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
from repomesh.domains.overview import hook_rules
from repomesh.domains.overview.briefing import show_briefing
from repomesh.domains.overview.hook_models import (
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
    """Look whether the run of a CLI session is known, and whether there is anything to tell it."""
    own_id, row = session_rows.find_run(tx, request.cli, request.session_id, request.processes)
    if row is None or row.ended_at is not None or row.agent_status == "retired":
        return SessionView(session=None)
    due = request.deliver and _anything_due(tx, row.agent_id, request.cli, own_id)
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
    """Hand the acting agent what waits for it: its briefing if wanted, warnings, new messages."""
    agent_id = tx.caller.acting_agent()
    ahead = [_losses(tx, agent_id, request.boundary)]
    lost = bool(ahead[0])
    if request.name_not_given is not None:
        ahead.append(hook_rules.other_name(request.name_not_given, str(tx.caller.agent_name)))
    if request.briefing:
        ahead.append(show_briefing(tx, ShowBriefing(max_chars=limits.BRIEFING_SHARE_CHARS)).text)
    ahead += _warnings(tx, agent_id)
    ids = deliveries.candidates(tx, agent_id, request.cli, request.session_id)
    return _hook_text(tx, request, request.route, ids, "\n".join(filter(None, ahead)), receipt=lost)


@command("hook.end_turn", scope="messages:write", needs_agent=True)
def end_turn(tx: Transaction, request: EndTurn) -> HookText:
    """Hold the end of a turn back when the acting agent has not dealt with what is important."""
    row = session_rows.find(tx, request.cli, request.session_id)
    if row is None:
        return HookText(text="")
    pressing = deliveries.pressing(tx, tx.caller.acting_agent())
    fresh = hook_rules.worth_holding(pressing, row.stop_blocks, row.stop_told, request.loop_guard)
    if not fresh:
        session_rows.change(tx, row, stop_blocks=0, stop_told=[])
        return HookText(text="")
    ahead = [_losses(tx, tx.caller.acting_agent(), request.boundary), _BEFORE_YOU_END]
    told = _hook_text(tx, request, "turn_end", fresh, "\n".join(filter(None, ahead)))
    so_far = [*row.stop_told, *told.message_ids][-limits.STOP_TOLD_MAX :]
    session_rows.change(tx, row, stop_blocks=row.stop_blocks + 1, stop_told=so_far)
    return told


@query("hook.guard", scope="locks:read", needs_agent=True, errors=(InvalidResource,))
def guard_edit(tx: Transaction, request: GuardEdit) -> GuardVerdict:
    """Whether the acting agent may write files: what others hold, and what to do about it. Takes nothing."""
    return _verdict(tx, request)


@command("hook.guard_and_lock", scope="locks:write", needs_agent=True, errors=(InvalidResource,))
def guard_and_lock(tx: Transaction, request: GuardEdit) -> GuardVerdict:
    """The same, and lock the files for the acting agent for a short while when they are free."""
    verdict = _verdict(tx, request)
    if verdict.verdict != "free":
        return verdict
    held = [lease.resource for lease in leasing.held_by(tx, tx.caller.acting_agent()) if _is_lock(lease)]
    files = literals.decode_all(request.files, "files")
    free = (name for name in files if not any(paths.holds(pattern, name) for pattern in held))
    wanted = _lockable(free)
    if not wanted:
        return verdict
    ttl_s = tx.settings.auto_lock_ttl_s
    try:
        # Heartbeats don't renew it: it is for the edit, not for the day.
        leasing.grant(tx, wanted, ttl_s=ttl_s, max_hold_s=ttl_s, note=AUTO_LOCK_NOTE)
    except (LockConflict, TooManyLocks, ComparisonTooLarge):  # forbids taking it, but not writing
        return verdict
    return verdict


_BEFORE_YOU_END = (
    "[repomesh] Before you end your turn: these messages are unread and important. Answer them "
    "(send_message with parent_message_id), or acknowledge_message when there is nothing to say."
)


def _lockable(names: Iterable[str]) -> list[Resource]:
    """The files that a lock can name; a name with a backslash, say, is in no lock's language."""
    found = []
    for name in names:
        try:
            found.append(resources.path(name))
        except InvalidResource:
            continue
    return found


def _is_lock(lease: Lease) -> bool:
    """Whether a lease is on files, and not only on those of a moment ago."""
    return lease.resource_type == resources.PATH and lease.note != AUTO_LOCK_NOTE


def _anything_due(tx: Transaction, agent_id: str, cli: str, session_id: str) -> bool:
    if deliveries.candidates(tx, agent_id, cli, session_id, most=1):
        return True
    if lost_leases.any_unreported(tx, agent_id):
        return True
    soonest = leasing.soonest_expiry(tx, agent_id)
    if soonest is None or soonest - tx.now > timedelta(seconds=max(limits.LEASE_WARNINGS_S)):
        return False
    return bool(_to_warn(tx, agent_id))


def _to_warn(tx: Transaction, agent_id: str) -> list[tuple[Lease, int]]:
    """The leases of which an agent is to be warned, each with the threshold that was reached."""
    found = []
    warned = {row.id: row.warned_s for row in rows.live_of(tx, agent_id)}
    for lease in leasing.held_by(tx, agent_id):
        reached = hook_rules.threshold(lease, warned[lease.id], tx.now)
        if reached is not None:
            found.append((lease, reached))
    return found


def _warnings(tx: Transaction, agent_id: str) -> list[str]:
    lines: list[str] = []
    for lease, seconds in _to_warn(tx, agent_id):
        if len(lines) < limits.BRIEFING_ITEMS_MAX:
            lines.append(hook_rules.warning(lease, tx.now))
            tx.execute(update(leases).where(leases.c.id == lease.id).values(warned_s=seconds))
    return lines


def _losses(tx: Transaction, agent_id: str, receipt: str) -> str:
    """What an agent must know before anything else: the leases that it lost. It is told of them by this."""
    lost = lost_leases.unreported(tx, agent_id)
    if lost:
        lost_leases.mark_reported(tx, agent_id, [lease.id for lease in lost], receipt)
    return hook_rules.losses(lost, limits.LOSSES_SHARE_CHARS)


def _hook_text(
    tx: Transaction,
    request: Deliver | EndTurn,
    route: Route,
    ids: Sequence[str],
    ahead: str,
    *,
    receipt: bool = False,
) -> HookText:
    """An envelope with the first of the messages behind `ahead`, written down as a delivery.

    With `receipt` somebody wants to know whether the answer left in time, even without messages in it.
    """
    if not ids:
        text = envelope.wrap([], 0, request.boundary, ahead=ahead).text if ahead else ""
        return HookText(text=text, boundary=request.boundary if receipt else None)
    agent_id = tx.caller.acting_agent()
    some = deliveries.enclosed(tx, ids[: limits.DELIVERY_MESSAGES_MAX])
    wrapped = envelope.wrap(some, unread_count(tx, agent_id), request.boundary, ahead=ahead)
    if not wrapped.message_ids:
        return HookText(text=wrapped.text, boundary=request.boundary if receipt else None)
    deliveries.record(tx, route, wrapped.boundary, wrapped.message_ids, request.cli, request.session_id)
    return HookText(text=wrapped.text, boundary=wrapped.boundary, message_ids=list(wrapped.message_ids))


def _verdict(tx: Transaction, request: GuardEdit) -> GuardVerdict:
    if tx.settings.guard == "off":
        return GuardVerdict(verdict="free", reason="", hindrances=[])
    held = leasing.blocking_locks(tx, _targets(request), tx.caller.agent_id)
    if not held:
        return GuardVerdict(verdict="free", reason="", hindrances=[])
    hindrances = [_hindrance(lease, on) for lease, on in held]
    verdict: Any = "denied" if tx.settings.guard == "deny" else "warned"
    past = _own_past(tx, [on for _, on in held])
    reason = hook_rules.denial(hindrances, past, tx.now, request.unresolved)
    return GuardVerdict(verdict=verdict, reason=reason, hindrances=hindrances)


def _own_past(tx: Transaction, names: Sequence[str]) -> list[LostLease]:
    """What the acting agent held of what others hold, and lost."""
    agent_id = tx.caller.agent_id
    if agent_id is None:
        return []
    found = [
        lost_leases.on_path(tx, agent_id, name) for name in dict.fromkeys(names[: limits.BRIEFING_ITEMS_MAX])
    ]
    return list({lost.id: lost for lost in found if lost is not None}.values())


def _targets(request: GuardEdit) -> Targets:
    """What to look for. A glob that no lock could be written as counts as its folder."""
    if request.unresolved:
        return Targets(folders=[""])
    folders, patterns = literals.decode_all(request.folders, "folders"), []
    for text in request.globs:
        try:
            patterns += resources.all_paths(text)
        except InvalidResource:
            folders.append(hook_rules.folder_of_glob(text))
    return Targets(literals.decode_all(request.files, "files"), folders, patterns)


def _hindrance(lease: Lease, path: str) -> BlockingLock:
    return BlockingLock(
        path=file_names.shown(path),
        resource=lease.resource,
        mode=lease.mode,
        holder=lease.agent_id,
        holder_name=lease.agent_name,
        expires_at=lease.expires_at,
    )
