"""The open sessions of the older handshake: their limits, and which of them ends for a new one.

Few clients end their sessions, so a mere limit would refuse everybody once it is reached. Sessions are
counted per token, so that no client takes the places of others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from repomesh.kernel import limits
from repomesh.kernel.errors import Unavailable


class TooManyMcpSessions(Unavailable):
    """All MCP sessions of the older handshake that may be open are in use."""

    code = "too_many_mcp_sessions"
    hint = (
        "Retry in the seconds of Retry-After. Close unread streams, and end sessions with DELETE after use."
    )


@dataclass(eq=False)
class OpenSession:
    """One session: the token that opened it, and its opener as `McpRequest.opener` names it."""

    token_id: str
    opener: str
    id: str | None = None  # None until it is open
    running: int = 0  # requests, open streams among them


class OpenSessions:
    """The sessions that are open or about to be, the longest unused first."""

    def __init__(self) -> None:
        self._sessions: dict[OpenSession, None] = {}
        self._by_id: dict[str, OpenSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def make_room(self, token_id: str) -> OpenSession | None:
        """Remove the session that must end before a token opens another one; None when there is room.

        A token beyond its limit loses the longest idle of its own. When all places are taken, the token with
        the most sessions does, unless that is fewer than the asking one has.

        Raises:
            TooManyMcpSessions: Each session that might end has a request running.
        """
        counts = Counter(session.token_id for session in self._sessions)
        own_count = counts[token_id]
        if own_count >= limits.MCP_TOKEN_SESSIONS_MAX:
            candidates = [token_id]
            message = f"the token has {own_count} MCP sessions open, and each has a request running"
        elif len(self._sessions) >= limits.MCP_SESSIONS_MAX:
            candidates = [token for token, count in counts.most_common() if count >= own_count]
            message = f"{len(self._sessions)} MCP sessions are open, and none of them is to end for this one"
        else:
            return None
        for token in candidates:
            session = self._find_longest_idle(token)
            if session is not None:
                self.remove(session)
                return session
        raise TooManyMcpSessions(message)

    def _find_longest_idle(self, token_id: str) -> OpenSession | None:
        token_sessions = (session for session in self._sessions if session.token_id == token_id)
        return next((session for session in token_sessions if not session.running), None)

    def find(self, session_id: str | None, opener: str) -> OpenSession | None:
        """The open session with this id, None unless `opener` opened it."""
        session = self._by_id.get(session_id or "")
        return session if session is not None and session.opener == opener else None

    def begin(self, token_id: str, opener: str) -> OpenSession:
        """Reserve a place for a session that is about to open."""
        session = OpenSession(token_id, opener)
        self._sessions[session] = None
        return session

    def mark_open(self, session: OpenSession, session_id: str) -> None:
        """Note the id under which a session is open from now on."""
        session.id = session_id
        self._by_id[session_id] = session

    def remove(self, session: OpenSession) -> None:
        """Free the place of a session that has ended, or that was not opened."""
        self._sessions.pop(session, None)
        if session.id is not None:
            self._by_id.pop(session.id, None)

    @contextmanager
    def in_use(self, session: OpenSession) -> Iterator[None]:
        """Count a request in the session inside the block: the session is not idle."""
        session.running += 1
        try:
            yield
        finally:
            session.running -= 1
            if session in self._sessions:  # it is the last one used
                del self._sessions[session]
                self._sessions[session] = None
