"""How single operations look on the command line, where that can't be told from their fields alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """`arguments` are the fields given by position (else those in the path), `optional` those of them that
    may be left out; `name` is another verb, `help` another first sentence."""

    arguments: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    name: str | None = None
    help: str | None = None
    hidden: bool = False
    left_out: tuple[str, ...] = ()


SHAPES: dict[str, Shape] = {
    "agent.register": Shape(arguments=("name",), optional=("name",)),
    "artifact.add": Shape(hidden=True),  # a command of its own reads a file; links come by 'repomesh api'
    "channel.create": Shape(arguments=("name",)),
    "chunk.add": Shape(arguments=("session_id", "content")),
    "decision.record": Shape(arguments=("topic", "decision")),
    "event.post": Shape(arguments=("type",)),
    "lock.acquire": Shape(arguments=("resources",)),
    "lock.check": Shape(arguments=("resources",)),
    "lock.check_paths": Shape(arguments=("paths",), optional=("paths",)),
    "lock.force_release": Shape(arguments=("resources",), optional=("resources",)),
    "lock.release": Shape(arguments=("resources",), optional=("resources",)),
    "lock.renew": Shape(arguments=("fencing_token",)),
    "log.prune": Shape(hidden=True),  # a command of its own goes on until all is archived
    "meeting.create": Shape(hidden=True),  # a command of its own takes suggested topics, too
    "meeting.minutes": Shape(hidden=True),  # a command of its own writes files
    "meeting.replay": Shape(hidden=True),  # a command of its own plays it
    "meeting.speak": Shape(arguments=("meeting_id", "content")),
    "meeting.suggest_topics": Shape(name="suggest"),
    "meeting.vote": Shape(arguments=("meeting_id", "choice")),
    "memory.store": Shape(arguments=("key", "content")),
    "message.list": Shape(name="search", help="Search the communication log."),
    "message.react": Shape(arguments=("message_id", "reaction")),
    "message.send": Shape(arguments=("to", "body"), left_out=("parent_message_id",)),
    "question.answer": Shape(arguments=("question_id", "answer")),
    "question.ask": Shape(arguments=("question",)),
    "search.find": Shape(arguments=("text",)),
    "search.recall": Shape(arguments=("text",)),
    "session.create": Shape(arguments=("session_id",)),
    "session.delegate": Shape(arguments=("session_id", "goal")),
    "session.delete": Shape(hidden=True),  # a command of its own asks first
    "session.export": Shape(hidden=True),  # a command of its own goes on to the end
    "session.import": Shape(hidden=True),  # a command of its own reads a file, piece by piece
    "session.import_progress": Shape(hidden=True),
    "session.drop_import": Shape(hidden=True),
    "session.tasks": Shape(hidden=True),  # 'list-tasks'
    "task.claim": Shape(arguments=("task_id",), optional=("task_id",)),
    "task.create": Shape(arguments=("goal",)),
    "token.create": Shape(arguments=("role",)),
    "webhook.subscribe": Shape(arguments=("url",)),
    "webhook.update": Shape(left_out=("url",)),  # like that of artifacts
    "workspace.add": Shape(arguments=("name",)),
}
"""By operation."""

FURTHER: tuple[tuple[str, Shape], ...] = (
    (
        "message.send",
        Shape(arguments=("parent_message_id", "body"), name="reply", help="Answer a message, in its thread."),
    ),
)
"""Operations that are a second command, too."""
