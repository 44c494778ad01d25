"""Reactions: a word or an emoji on a message, one of each kind per agent."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, insert, select

from repomesh.domains.agents.tables import agents
from repomesh.domains.messaging.messages import rows
from repomesh.domains.messaging.messages.addressing import audience_of
from repomesh.domains.messaging.messages.errors import MessageNotFound, ReactionNotFound, TooManyReactions
from repomesh.domains.messaging.messages.models import (
    MESSAGE_REACTION_ADDED,
    MESSAGE_REACTION_REMOVED,
    ListReactions,
    React,
    Reaction,
)
from repomesh.domains.messaging.messages.tables import reactions
from repomesh.kernel.fields import Page
from repomesh.kernel.limits import REACTIONS_PER_AGENT_MAX
from repomesh.kernel.operation import Delete, Get, Post, command, query
from repomesh.store.listing import Listing
from repomesh.store.log import NewEvent
from repomesh.store.transaction import Transaction

_table = reactions.c


@command(
    "message.react",
    http=Post("/v1/messages/{message_id}/reactions"),
    scope="messages:write",
    errors=(MessageNotFound, TooManyReactions),
    rate="messages",
    needs_agent=True,
)
def add_reaction(tx: Transaction, request: React) -> Reaction:
    """React to a message. The same reaction again changes nothing."""
    message = rows.find(tx, request.message_id)
    agent_id = tx.caller.acting_agent()
    existing = tx.execute(
        select(reactions).where(*_own_reactions(tx, message.id), _same_reaction(request))
    ).one_or_none()
    if existing is not None:
        return _as_own_reaction(tx, existing)
    count = select(func.count()).select_from(reactions).where(*_own_reactions(tx, message.id))
    if tx.execute(count).scalar_one() >= REACTIONS_PER_AGENT_MAX:
        raise TooManyReactions(f"you have {REACTIONS_PER_AGENT_MAX} reactions on this message already")
    row = {
        "workspace_id": tx.workspace_id,
        "message_id": message.id,
        "agent_id": agent_id,
        "reaction": request.reaction,
        "created_at": tx.now,
    }
    tx.execute(insert(reactions), row)
    del row["workspace_id"]
    reaction = Reaction(agent_name=str(tx.caller.agent_name), **row)
    _emit_changed(tx, MESSAGE_REACTION_ADDED, reaction, message)
    return reaction


@command(
    "message.unreact",
    http=Delete("/v1/messages/{message_id}/reactions/{reaction}"),
    scope="messages:write",
    errors=(MessageNotFound, ReactionNotFound),
    needs_agent=True,
)
def remove_reaction(tx: Transaction, request: React) -> Reaction:
    """Remove the acting agent's reaction to a message."""
    message = rows.find(tx, request.message_id)
    own_reaction = *_own_reactions(tx, message.id), _same_reaction(request)
    existing = tx.execute(select(reactions).where(*own_reaction)).one_or_none()
    if existing is None:
        raise ReactionNotFound(f"you have no reaction '{request.reaction}' on this message")
    tx.execute(delete(reactions).where(*own_reaction))
    reaction = _as_own_reaction(tx, existing)
    _emit_changed(tx, MESSAGE_REACTION_REMOVED, reaction, message)
    return reaction


@query(
    "message.reactions",
    http=Get("/v1/messages/{message_id}/reactions"),
    scope="messages:read",
    errors=(MessageNotFound,),
)
def list_reactions(tx: Transaction, request: ListReactions) -> Page[Reaction]:
    """List the reactions to a message."""
    message = rows.find(tx, request.message_id)
    statement = (
        select(reactions, agents.c.name.label("agent_name"))
        .join(agents, agents.c.id == _table.agent_id)
        .where(_table.workspace_id == tx.workspace_id, _table.message_id == message.id)
    )
    listing = Listing(Page[Reaction], _as_listed_reaction, keys=(_table.agent_id, _table.reaction))
    return listing.read(tx, statement, request)


def _own_reactions(tx: Transaction, message_id: str) -> tuple[Any, ...]:
    return (
        _table.workspace_id == tx.workspace_id,
        _table.message_id == message_id,
        _table.agent_id == tx.caller.acting_agent(),
    )


def _same_reaction(request: React) -> Any:
    return _table.reaction == request.reaction


def _as_own_reaction(tx: Transaction, row: Row[Any]) -> Reaction:
    return _as_reaction(row, str(tx.caller.agent_name))


def _as_listed_reaction(row: Row[Any]) -> Reaction:
    return _as_reaction(row, row.agent_name)


def _as_reaction(row: Row[Any], agent_name: str) -> Reaction:
    return Reaction(
        message_id=row.message_id,
        reaction=row.reaction,
        agent_id=row.agent_id,
        agent_name=agent_name,
        created_at=row.created_at,
    )


def _emit_changed(tx: Transaction, type_: str, reaction: Reaction, message: Any) -> None:
    tx.emit(
        NewEvent(
            type_,
            f"message/{message.id}",
            reaction,
            audience_of(tx, message),
            channel_id=message.channel_id,
            task_id=message.task_id,
            recipient_id=message.sender_id,
            correlation_id=message.thread_id,
        )
    )
