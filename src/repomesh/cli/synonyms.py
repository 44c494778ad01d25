"""Words that people type in place of commands, and the hints that name the right command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from repomesh.cli import spelling

ALIASES: Final = {
    "ack": "message ack",
    "acquire": "lock acquire",
    "agents": "agent list",
    "artifacts": "artifact list",
    "ask": "question ask",
    "answer": "question answer",
    "channels": "channel list",
    "check": "doctor",
    "chunks": "chunk list",
    "claim": "task claim",
    "complete": "task complete",
    "config": "env",
    "decisions": "decision list",
    "done": "task complete",
    "exit": "down",
    "export": "session export",
    "find": "search find",
    "finish": "task complete",
    "fix": "doctor",
    "health": "doctor",
    "help": "--help",
    "history": "events list",
    "import": "session import",
    "info": "status",
    "init": "up",
    "kill": "down",
    "locks": "lock list",
    "login": "token show",
    "ls": "status",
    "mail": "message inbox",
    "meetings": "meeting list",
    "memories": "memory list",
    "messages": "message inbox",
    "migrate": "db upgrade",
    "minutes": "meeting minutes",
    "msg": "message",
    "msgs": "message inbox",
    "outbox": "message outbox",
    "ps": "status",
    "questions": "question list",
    "quit": "down",
    "read": "message read",
    "recall": "search recall",
    "register": "agent register",
    "release": "lock release",
    "remember": "memory store",
    "reply": "message reply",
    "reviews": "review list",
    "revert": "rollback",
    "submit": "change submit",
    "run": "up",
    "send": "message send",
    "sent": "message outbox",
    "serve": "up",
    "sessions": "session list",
    "speak": "meeting speak",
    "start": "up",
    "stop": "down",
    "store": "memory store",
    "tail": "events tail",
    "tasks": "task list",
    "todo": "task list",
    "tokens": "token list",
    "topic": "meeting suggest",
    "unlock": "lock release",
    "upgrade": "db upgrade",
    "users": "agent list",
    "version": "--version",
    "vote": "meeting vote",
    "webhooks": "webhook list",
    "who": "agent list",
    "whoami": "agent show",
    "workspaces": "workspace list",
}
"""By word typed in place of a command of the first level, the command."""

IN_TURN: Final = {"restart": ("down", "up"), "reload": ("down", "up")}
"""Words for two commands, to be typed one after the other."""

_END: Final = ("complete", "cancel", "withdraw", "release", "archive", "leave")
_MAKE: Final = ("create", "add", "store", "record", "register", "request", "subscribe", "ask", "send", "post")
_READ: Final = ("show", "read", "list")
_REMOVE: Final = (
    "remove",
    "delete",
    "retire",
    "revoke",
    "retract",
    "withdraw",
    "archive",
    "cancel",
    "release",
    "uninstall",
)
VERBS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("list", "ls", "all"), ("list", "inbox", "current", "status")),
    **dict.fromkeys(("get", "view", "info", "cat", "open", "describe", "whoami"), _READ),
    **dict.fromkeys(("done", "finish", "close"), _END),
    **dict.fromkeys(("end", "stop", "abort"), ("cancel", *_END)),
    **dict.fromkeys(("remove", "delete", "rm", "del", "drop", "forget", "unregister"), _REMOVE),
    **dict.fromkeys(("add", "new", "create", "make", "save", "put", "write"), _MAKE),
    **dict.fromkeys(
        ("edit", "change", "modify", "rename", "set"), ("update", "store", "revise", "supersede")
    ),
    **dict.fromkeys(("take", "get", "hold", "lock"), ("claim", "acquire", *_READ)),
    **dict.fromkeys(("free", "unlock", "giveback"), ("release",)),
    **dict.fromkeys(("sent", "out"), ("outbox",)),
    **dict.fromkeys(("answer", "respond", "reply"), ("reply", "answer", "comment")),
    **dict.fromkeys(("acknowledge", "confirm"), ("ack",)),
    **dict.fromkeys(("find", "grep", "query"), ("find", "search", "search-conversations")),
    **dict.fromkeys(("say", "talk", "comment"), ("speak", "comment", "send")),
    **dict.fromkeys(("begin", "run"), ("start", "claim")),
    **dict.fromkeys(("history", "log"), ("versions", "messages", "list")),
    **dict.fromkeys(("follow", "watch"), ("tail", "watch", "follow", "wait")),
    **dict.fromkeys(("approve", "reject", "accept"), ("decide", "vote")),
    **dict.fromkeys(("enable", "setup"), ("install",)),
    **dict.fromkeys(("disable",), ("uninstall",)),
}
"""By word typed in place of a group's command: the commands it may mean, of which the first is suggested."""

_OF_GROUP: Final[dict[tuple[str, str], str]] = {
    ("chunk", "search"): "session search-conversations",
    ("meeting", "close"): "meeting cancel",
    ("memory", "delete"): "memory retract",
    ("memory", "search"): "session search-memories",
    ("message", "get"): "message show",
    ("session", "search"): "session search-conversations",
    ("task", "close"): "task complete",
    ("task", "delete"): "task cancel",
    ("task", "get"): "task show",
}
"""By group and word: the command, in place of VERBS."""

_TEXTS: Final = {
    "chunk": "chunk add SESSION_ID CONTENT",
    "decision": "decision record TOPIC DECISION",
    "meeting": "meeting create TOPIC",
    "memory": "memory store KEY CONTENT",
    "message": "message send TO BODY",
    "question": "question ask QUESTION",
    "search": "search find TEXT",
    "task": "task create GOAL",
}
"""By group: the command that takes a text. The typed word is not filled in, since it may be a verb."""

_NAMES: Final = {"agent": "agent show", "channel": "channel show", "session": "session show"}
"""By group: the command that shows an object by its name."""


def suggest_command(path: str, word: str, commands: Sequence[str]) -> str:
    """Return the hint for `word`, which is none of the `known` commands of the group at `path`."""
    if path == "repomesh":
        return _suggest_at_first_level(word, commands)
    if word == "help":
        return f"'{path} --help' does that."
    group = path.rpartition(" ")[2]
    command = _OF_GROUP.get((group, word)) or next(
        (f"{group} {verb}" for verb in VERBS.get(word, ()) if verb in commands), None
    )
    if command is not None:
        return f"Did you mean 'repomesh {command}'? '{path} --help' lists all."
    return _suggest_similar(path, word, commands) or _suggest_for_group(path, group, word)


def _suggest_at_first_level(word: str, commands: Sequence[str]) -> str:
    if word in IN_TURN:
        first, second = IN_TURN[word]
        return f"'repomesh {first}' and then 'repomesh {second}' do that."
    alias = ALIASES.get(word)
    if alias is not None:
        return f"'repomesh {alias}' does that."
    return _suggest_similar("repomesh", word, commands) or "'repomesh --help' lists the commands."


def _suggest_similar(path: str, word: str, commands: Sequence[str]) -> str:
    names = " or ".join(f"'{path} {name}'" for name in spelling.similar_words(word, commands))
    return f"Did you mean {names}? '{path} --help' lists all." if names else ""


def _suggest_for_group(path: str, group: str, word: str) -> str:
    listing = f"'{path} --help' lists the commands."
    if group == "search" and not any(character.isspace() for character in word):
        return f"Did you mean 'repomesh search find {word}'? {listing}"
    if group in _NAMES and not any(character.isspace() for character in word):
        return f"Is '{word}' a name? 'repomesh {_NAMES[group]} NAME' shows what is called so. {listing}"
    if group in _TEXTS and any(character.isspace() for character in word):
        return f"A text is given with 'repomesh {_TEXTS[group]}'. {listing}"
    return listing
