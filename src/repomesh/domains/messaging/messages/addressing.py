"""Resolve the recipients of a message: names, channels and '*' become the ids of agents in service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, or_, select

from repomesh.domains.agents.operations import agents_in_service
from repomesh.domains.agents.rows import find_by_former_name
from repomesh.domains.agents.rules import name_key
from repomesh.domains.agents.tables import agents
from repomesh.domains.messaging.channels.errors import NotAMember
from repomesh.domains.messaging.channels.rows import find_channel, require_open
from repomesh.domains.messaging.channels.tables import channel_members
from repomesh.domains.messaging.messages import rules
from repomesh.domains.messaging.messages.errors import (
    NobodyAddressed,
    RecipientNotFound,
    RecipientRetired,
    TooManyRecipients,
)
from repomesh.domains.messaging.messages.tables import receipts
from repomesh.kernel.limits import RECIPIENTS_MAX
from repomesh.store.log import WORKSPACE, Audience
from repomesh.store.prepared import PreparedStatement
from repomesh.store.transaction import Transaction

_AGENT = select(agents.c.id, agents.c.name, agents.c.name_key, agents.c.status).where(
    agents.c.workspace_id == bindparam("ws")
)
_AGENT_BY_REF = PreparedStatement(
    _AGENT.where(
        or_(
            agents.c.name == bindparam("ref"),
            agents.c.name_key == bindparam("key"),
            agents.c.id == bindparam("ref"),
        )
    )
)
_AGENTS_BY_REFS = _AGENT.where(
    or_(
        agents.c.name.in_(bindparam("refs", expanding=True)),
        agents.c.name_key.in_(bindparam("keys", expanding=True)),
        agents.c.id.in_(bindparam("refs", expanding=True)),
    )
)
_MEMBERS = PreparedStatement(
    select(channel_members.c.agent_id, agents.c.status)
    .join(agents, agents.c.id == channel_members.c.agent_id)
    .where(
        channel_members.c.workspace_id == bindparam("ws"),
        channel_members.c.channel_id == bindparam("channel"),
    )
)
_RECIPIENTS = PreparedStatement(
    select(receipts.c.agent_id).where(
        receipts.c.workspace_id == bindparam("ws"), receipts.c.message_id == bindparam("message")
    )
)


@dataclass(frozen=True, slots=True)
class ResolvedRecipients:
    """The resolved recipients of a message.

    `to`: the addresses as shown; `recipient_ids`: its receivers; `audience`: who may see its event.
    """

    to: list[str]
    recipient_ids: list[str]
    audience: Audience
    channel_id: str | None = None
    channel_name: str | None = None
    broadcast: bool = False


def resolve(tx: Transaction, to: Iterable[str], sender_id: str) -> ResolvedRecipients:
    """The present recipients of the addresses `to`; the sender gets nothing of its channel or of a broadcast.

    Raises SeveralChannels, RecipientNotFound, RecipientRetired, ChannelNotFound, ChannelArchived, NotAMember,
    or TooManyRecipients.
    """
    addresses = rules.addresses(to)
    named_agents = _find_recipients(tx, addresses.agents)
    shown_addresses = [agent.name for agent in named_agents]
    recipient_ids = dict.fromkeys(agent.id for agent in named_agents)
    if addresses.channel is None and not addresses.everybody:
        return ResolvedRecipients(
            shown_addresses, list(recipient_ids), Audience("agents", tuple(recipient_ids))
        )
    audience, channel = WORKSPACE, None
    if addresses.channel is not None:
        channel = find_channel(tx, addresses.channel)
        require_open(channel)
        members = members_in_service(tx, channel.id)
        if sender_id not in members:
            raise NotAMember(f"you are not a member of '#{channel.name}'")
        shown_addresses.insert(0, f"#{channel.name}")
        audience = Audience("channel", tuple(dict.fromkeys([*members, *recipient_ids])))
        recipient_ids |= dict.fromkeys(member for member in members if member != sender_id)
    if addresses.everybody:
        shown_addresses.insert(0, "*")
        audience = WORKSPACE
        recipient_ids |= dict.fromkeys(agent.id for agent in agents_in_service(tx) if agent.id != sender_id)
    if len(recipient_ids) > RECIPIENTS_MAX:
        raise TooManyRecipients(
            f"{len(recipient_ids)} agents would receive it, the limit is {RECIPIENTS_MAX}"
        )
    return ResolvedRecipients(
        shown_addresses,
        list(recipient_ids),
        audience,
        channel_id=channel.id if channel else None,
        channel_name=channel.name if channel else None,
        broadcast=addresses.everybody,
    )


def reply_addresses(tx: Transaction, parent: Any, sender_id: str) -> list[str]:
    """The addresses of an answer without `to`: the parent's sender, and the channel of the parent.

    An answer to one's own message goes to its recipients. Raises NobodyAddressed for a system notice.
    """
    author_id = parent.sender_id
    if parent.channel_id is not None:
        to = [f"#{parent.channel_id}"]
        if author_id not in (None, sender_id, *members_in_service(tx, parent.channel_id)) and _is_in_service(
            tx, author_id
        ):
            to.append(author_id)
        return to
    if author_id is None:
        raise NobodyAddressed("the message to answer is a notice of the server, which has no sender")
    if author_id != sender_id:
        return [author_id]
    return ["*"] if parent.broadcast else recipients_of(tx, parent.id)


def audience_of(tx: Transaction, message: Any) -> Audience:
    """Who may see events about a message, such as reactions."""
    if message.broadcast:
        return WORKSPACE
    involved = [message.sender_id] if message.sender_id is not None else []
    involved += recipients_of(tx, message.id)
    if message.channel_id is None:
        return Audience("agents", tuple(involved))
    return Audience("channel", tuple(dict.fromkeys([*involved, *members_in_service(tx, message.channel_id)])))


def members_in_service(tx: Transaction, channel_id: str) -> dict[str, None]:
    """The ids of a channel's members that are not retired, as the keys of a dict in a stable order."""
    rows = tx.execute(_MEMBERS, {"ws": tx.workspace_id, "channel": channel_id})
    return {row.agent_id: None for row in rows if row.status != "retired"}


def recipients_of(tx: Transaction, message_id: str) -> list[str]:
    """The ids of the agents that received a message."""
    rows = tx.execute(_RECIPIENTS, {"ws": tx.workspace_id, "message": message_id})
    return [row.agent_id for row in rows]


def names_of(tx: Transaction, agent_ids: Sequence[str]) -> dict[str, str]:
    """The names of agents by their ids."""
    rows = tx.execute(_AGENTS_BY_REFS, _refs_params(tx, agent_ids))
    return {row.id: row.name for row in rows if row.id in agent_ids}


def _is_in_service(tx: Transaction, agent_id: str) -> bool:
    row = tx.execute(_AGENT_BY_REF, {"ws": tx.workspace_id, "ref": agent_id, "key": agent_id}).first()
    return row is not None and row.status != "retired"


def _refs_params(tx: Transaction, refs: Sequence[str]) -> dict[str, Any]:
    return {"ws": tx.workspace_id, "refs": list(refs), "keys": [name_key(ref) for ref in refs]}


def _find_recipients(tx: Transaction, refs: Sequence[str]) -> list[Any]:
    """The agents with these names (in any case) or ids, in this order.

    Raises RecipientNotFound and RecipientRetired.
    """
    if not refs:
        return []
    if len(refs) == 1:
        rows = tx.read_cached(
            _AGENT_BY_REF, {"ws": tx.workspace_id, "ref": refs[0], "key": name_key(refs[0])}
        )
    else:
        rows = list(tx.execute(_AGENTS_BY_REFS, _refs_params(tx, refs)))
    by_name = {row.name_key: row for row in rows} | {row.name: row for row in rows}
    by_id = {row.id: row for row in rows}
    agents_by_ref = {ref: by_id.get(ref) or by_name.get(ref) or by_name.get(name_key(ref)) for ref in refs}
    for ref in refs:
        agents_by_ref[ref] = agents_by_ref[ref] or find_by_former_name(tx, ref)
    unknown_refs = [ref for ref in refs if agents_by_ref[ref] is None]
    if unknown_refs:
        raise _recipient_not_found(tx, unknown_refs)
    recipients = [row for ref in refs if (row := agents_by_ref[ref]) is not None]
    retired = [row.name for row in recipients if row.status == "retired"]
    if retired:
        raise RecipientRetired(f"out of service: {', '.join(retired[:20])}", retired=retired)
    return recipients


def _recipient_not_found(tx: Transaction, refs: list[str]) -> RecipientNotFound:
    names = [agent.name for agent in agents_in_service(tx)]
    similar = {ref: rules.similar_names(ref, names) for ref in refs[:20]}
    hints = [f"for '{ref}' perhaps {' or '.join(matches)}" for ref, matches in similar.items() if matches]
    return RecipientNotFound(
        f"there is no agent {', '.join(repr(ref) for ref in similar)}",
        hint=f"Check the names: {'; '.join(hints)}." if hints else None,
        unknown=refs,
        near=similar,
    )
