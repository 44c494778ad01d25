"""What every surface is given: the operations, and the one way to run them."""

from __future__ import annotations

from dataclasses import dataclass

from repomesh.bus.tail import Tails
from repomesh.domains.agents.authentication import Authenticator
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.operation import Registry
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.store.base import Store
from repomesh.surfaces.revocations import Revocations


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a running server that its surfaces use."""

    registry: Registry
    dispatch: Dispatcher
    authenticate: Authenticator
    tails: Tails
    revocations: Revocations
    store: Store
    settings: Settings
    metrics: Metrics
    version: str
