"""Overrides of generated commands: arguments, names and help that don't follow from an operation's fields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandOverride:
    """Deviations of one command.

    `arguments` are the fields given by position (else those in the path), `optional` those of them that may
    be omitted, `left_out` fields without an option; `name` replaces the verb, `help` the first sentence.
    A `hidden` command is not generated.
    """

    arguments: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    name: str | None = None
    help: str | None = None
    hidden: bool = False
    left_out: tuple[str, ...] = ()


SHAPES: dict[str, CommandOverride] = {
    "agent.register": CommandOverride(arguments=("name",), optional=("name",)),
    "artifact.add": CommandOverride(
        hidden=True
    ),  # a command of its own reads a file; links come by 'repomesh api'
    "change.plan_rollback": CommandOverride(hidden=True),  # 'rollback' shows it and asks
    "change.roll_back": CommandOverride(hidden=True),
    "change.submit": CommandOverride(hidden=True),  # a command of its own looks into the work tree
    "channel.create": CommandOverride(arguments=("name",)),
    "chunk.add": CommandOverride(  # a command of its own takes a file, too
        arguments=("session_id", "content"), hidden=True
    ),
    "decision.record": CommandOverride(arguments=("topic", "decision")),
    "event.post": CommandOverride(arguments=("type",)),
    "lock.acquire": CommandOverride(arguments=("resources",)),
    "lock.check": CommandOverride(arguments=("resources",)),
    "lock.check_paths": CommandOverride(arguments=("paths",), optional=("paths",)),
    "lock.force_release": CommandOverride(arguments=("resources",), optional=("resources",)),
    "lock.release": CommandOverride(arguments=("resources",), optional=("resources",)),
    "lock.renew": CommandOverride(arguments=("fencing_token",)),
    "log.prune": CommandOverride(hidden=True),  # a command of its own goes on until all is archived
    "meeting.create": CommandOverride(hidden=True),  # a command of its own takes suggested topics, too
    "meeting.minutes": CommandOverride(hidden=True),  # a command of its own writes files
    "meeting.replay": CommandOverride(hidden=True),  # a command of its own plays it
    "meeting.speak": CommandOverride(arguments=("meeting_id", "content")),
    "meeting.suggest_topics": CommandOverride(name="suggest"),
    "meeting.vote": CommandOverride(arguments=("meeting_id", "choice")),
    "memory.store": CommandOverride(arguments=("key", "content"), hidden=True),  # the same
    "message.list": CommandOverride(name="search", help="Search the communication log."),
    "message.react": CommandOverride(arguments=("message_id", "reaction")),
    "message.send": CommandOverride(arguments=("to", "body"), left_out=("parent_message_id",)),
    "queue.pause": CommandOverride(arguments=("reason",)),
    "queue.report": CommandOverride(hidden=True),  # a command of its own reads all pages
    "queue.show": CommandOverride(name="status"),
    "question.answer": CommandOverride(arguments=("question_id", "answer")),
    "question.ask": CommandOverride(arguments=("question",)),
    "request.create": CommandOverride(arguments=("text",)),
    "request.edit": CommandOverride(hidden=True),  # a command of its own reads files
    "request.report": CommandOverride(hidden=True),  # a command of its own writes Markdown
    "search.find": CommandOverride(arguments=("text",)),
    "search.recall": CommandOverride(arguments=("text",)),
    "session.create": CommandOverride(arguments=("session_id",)),
    "session.delegate": CommandOverride(arguments=("session_id", "goal")),
    "session.delete": CommandOverride(hidden=True),  # a command of its own asks first
    "session.export": CommandOverride(hidden=True),  # a command of its own goes on to the end
    "session.import": CommandOverride(hidden=True),  # a command of its own reads a file, piece by piece
    "session.import_progress": CommandOverride(hidden=True),
    "session.drop_import": CommandOverride(hidden=True),
    "session.tasks": CommandOverride(hidden=True),  # 'list-tasks'
    "task.claim": CommandOverride(arguments=("task_id",), optional=("task_id",)),
    "task.create": CommandOverride(arguments=("goal",)),
    "token.create": CommandOverride(arguments=("role",)),
    "webhook.subscribe": CommandOverride(arguments=("url",)),
    "webhook.update": CommandOverride(left_out=("url",)),  # like that of artifacts
    "workspace.add": CommandOverride(arguments=("name",)),
}
"""By operation."""

FURTHER: tuple[tuple[str, CommandOverride], ...] = (
    (
        "message.send",
        CommandOverride(
            arguments=("parent_message_id", "body"), name="reply", help="Answer a message, in its thread."
        ),
    ),
)
"""Operations with a second command."""
