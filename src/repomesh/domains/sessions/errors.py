"""What can go wrong with sessions and with what hangs on them."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class SessionNotFound(NotFound):
    """No session of this workspace has that id."""

    code = "session_not_found"
    hint = "List the sessions to see their ids, or create it."


class SessionExists(Conflict):
    """A session has that id already."""

    code = "session_exists"
    hint = "Go on in that session, or choose another id."


class SessionNotActive(Conflict):
    """The session is paused, completed or being deleted; `session_status` says which."""

    code = "session_not_active"
    hint = "Resume a paused session first; a completed one stays as it is, so create another."


class NotYourSession(Forbidden):
    """Somebody else made the session, and the caller does not own the workspace."""

    code = "not_your_session"
    hint = "Ask who created it, or use the owner's token."


class ChunkNotFound(NotFound):
    """No chunk of this session has that name."""

    code = "chunk_not_found"
    hint = "List the session's chunks to see their names."


class ChunkConflict(Conflict):
    """A chunk of that name is there already, and is another one; `differs` names the fields."""

    code = "chunk_conflict"
    hint = "Use a new chunk_id for what differs; resend the same chunk to be answered like the first time."


class SequenceTaken(Conflict):
    """Another chunk stands at that place; `chunk_id` names it."""

    code = "sequence_taken"
    hint = "Leave 'sequence' out to append it, or choose a free one."


class SequenceUsedUp(Conflict):
    """The last place of the session is taken, so that nothing can be appended behind it."""

    code = "sequence_used_up"
    hint = "Name a free 'sequence' before it, or go on in another session."


class MemoryNotFound(NotFound):
    """No memory has that id, key or version."""

    code = "memory_not_found"
    hint = "List the memories to see their ids and keys."


class MemoryStatusConflict(Conflict):
    """The memory is superseded or retracted already."""

    code = "memory_status"
    hint = "Read it; store its key anew or restore an earlier version to make it current again."


class SupersedesItself(InvalidRequest):
    """A memory can't hold instead of itself."""

    code = "supersedes_itself"
    hint = "Name the key of another memory, or store a new version under this key."


class ArtifactNotFound(NotFound):
    """No artifact of this session has that name or version."""

    code = "artifact_not_found"
    hint = "List the session's artifacts to see their names."


class ArtifactHasNoContent(Conflict):
    """The artifact is a link; `url` says where it leads."""

    code = "artifact_is_link"
    hint = "Follow the url."


class ImportNotFound(NotFound):
    """No import of that id is under way: it is done, was dropped, or was never begun."""

    code = "import_not_found"
    hint = "Begin it anew, with the session as its first item and 'after' 0."


class ImportOutOfStep(Conflict):
    """Items of the import are missing, or it is one of another session; `taken` says how many there are."""

    code = "import_out_of_step"
    hint = "Go on behind the items that are taken, or begin anew with 'after' 0."


class ImportRefused(InvalidRequest):
    """An item of the import can't be taken; `item` is its number, from 1. Nothing of it is visible."""

    code = "import_refused"
    hint = "Mend the file and begin anew."


class TaskKeyTaken(Conflict):
    """A task of that name is there already in the session, and asks for something else."""

    code = "task_key_taken"
    hint = "Choose another task_id, or leave it out."


class SessionTaskNotFound(InvalidRequest):
    """A task that should be done first is none of this session."""

    code = "session_task_not_found"
    hint = "Delegate what others depend on first, and name it by its task_id or id."
