"""The errors of sessions and their contents."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class SessionNotFound(NotFound):
    """No session of this workspace has that id."""

    code = "session_not_found"
    hint = "List the sessions with GET /v1/sessions, or create it with POST /v1/sessions."


class SessionExists(Conflict):
    """A session has that id already."""

    code = "session_exists"
    hint = "Use that session, or send another 'session_id'."


class SessionNotActive(Conflict):
    """The session is paused, completed or being deleted; `session_status` says which."""

    code = "session_not_active"
    hint = "Set a paused session's 'status' to 'active'; a completed one stays closed, so create another."


class NotYourSession(Forbidden):
    """Somebody else made the session, and the caller does not own the workspace."""

    code = "not_your_session"
    hint = "Ask the agent in 'created_by', or use the owner's token."


class ChunkNotFound(NotFound):
    """No chunk of this session has that name."""

    code = "chunk_not_found"
    hint = "List the session's chunks with GET /v1/sessions/{session_id}/chunks."


class ChunkConflict(Conflict):
    """A different chunk has this name already; `differs` names the fields."""

    code = "chunk_conflict"
    hint = "Send a new 'chunk_id' for other content. The same chunk sent again changes nothing."


class SequenceTaken(Conflict):
    """Another chunk has this sequence number; `chunk_id` names it."""

    code = "sequence_taken"
    hint = "Leave 'sequence' out to append it, or choose a free one."


class SequenceUsedUp(Conflict):
    """The highest sequence number of the session is taken, so no chunk can be appended."""

    code = "sequence_used_up"
    hint = "Send a free 'sequence' below it, or use another session."


class MemoryNotFound(NotFound):
    """No memory has that id, key or version."""

    code = "memory_not_found"
    hint = "List the memories with GET /v1/memories."


class MemoryStatusConflict(Conflict):
    """The memory is superseded or retracted already."""

    code = "memory_status"
    hint = "Store the 'key' again, or restore an earlier version, to make it current."


class SupersedesItself(InvalidRequest):
    """A memory can't supersede itself."""

    code = "supersedes_itself"
    hint = "Name another memory in 'key', or store a new version under this key."


class ArtifactNotFound(NotFound):
    """No artifact of this session has that name or version."""

    code = "artifact_not_found"
    hint = "List the artifacts with GET /v1/sessions/{session_id}/artifacts."


class ArtifactHasNoContent(Conflict):
    """The artifact is a link; `url` says where it leads."""

    code = "artifact_is_link"
    hint = "The content is at the artifact's 'url'."


class ImportNotFound(NotFound):
    """No import of that id is under way: it is done, was dropped, or was never begun."""

    code = "import_not_found"
    hint = "Start the import again with the session as its first item and 'after' 0."


class ImportOutOfStep(Conflict):
    """Items of the import are missing, or it is one of another session; `taken` says how many there are."""

    code = "import_out_of_step"
    hint = "Continue behind the items that were taken, or start again with 'after' 0."


class ImportRefused(InvalidRequest):
    """An item of the import can't be taken; `item` is its number, from 1. Nothing of it is visible."""

    code = "import_refused"
    hint = "Correct the file, then run 'repomesh session import' again."


class TaskKeyTaken(Conflict):
    """The session already has a different task of this name."""

    code = "task_key_taken"
    hint = "Send another 'task_id', or leave it out."


class SessionTaskNotFound(InvalidRequest):
    """A dependency is no task of this session."""

    code = "session_task_not_found"
    hint = "Delegate the dependencies first, and name them in 'dependencies' by task_id or id."
