"""A lane that a worker holds: a target branch of a workspace, with a batch of its changes."""

from __future__ import annotations

from dataclasses import dataclass, field

from repomesh.domains.changes.queue.processing_models import (
    FailedChange,
    LandingOutcome,
    LaneClaim,
    TakenLane,
)
from repomesh.jobs.merge_queue.claim_notes import ClaimNote
from repomesh.jobs.merge_queue.lane_commands import LaneCommands
from repomesh.jobs.merge_queue.repositories import LaneContext


@dataclass(slots=True)
class HeldLane:
    """What was taken, and what became of the branch and of the changes so far."""

    workspace_id: str
    claim: LaneClaim
    commands: LaneCommands
    taken: TakenLane
    context: LaneContext
    landing: LandingOutcome | None = None
    failed: list[FailedChange] = field(default_factory=list)
    pause: str | None = None

    @property
    def target(self) -> str:
        """The name of the target branch."""
        return self.claim.target

    @property
    def note(self) -> ClaimNote:
        """The note of its claim."""
        return ClaimNote(workspace_id=self.workspace_id, claim=self.claim)

    async def settle_landing(self) -> None:
        """Record what became of the branch now, and not with the end of the claim."""
        if self.landing is not None:
            outcome, self.landing = self.landing, None
            await self.commands.settle_landing(outcome)
