"""Chooses the bus that the settings name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from repomesh.adapters.bus.local import LocalBus
from repomesh.adapters.bus.port import Bus
from repomesh.kernel.settings import BusName, Settings

BUSES: Mapping[BusName, Callable[[Settings], Bus]] = {"local": lambda _settings: LocalBus()}
"""The constructor of each bus, by its name in the settings."""


def open_bus(settings: Settings) -> Bus:
    """Make the bus that `settings.bus` names. It carries nothing before its `start`."""
    return BUSES[settings.bus](settings)
