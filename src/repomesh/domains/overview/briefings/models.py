"""The words of joining and of briefings."""

from __future__ import annotations

from pydantic import Field

from repomesh.domains.agents.models import RegisterAgent, Registration
from repomesh.kernel import limits
from repomesh.kernel.fields import TextChars


class JoinWorkspace(RegisterAgent):
    """Join the workspace, or join again as an agent that is known."""

    max_chars: TextChars = Field(limits.BRIEFING_CHARS_MAX, description="Budget for the briefing.")


class JoinedWorkspace(Registration):
    """The caller's identity and its briefing. The instance token is shown once."""

    briefing: str = Field(description="What it holds, did last and has not read, and what was decided.")
