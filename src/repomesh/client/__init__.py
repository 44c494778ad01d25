"""The client over HTTP: `connect` and `connect_sync` open a typed one.

`repomesh.client.client.Client` calls operations by name. The names below are imported when they are first
used, since most commands need only a part of the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repomesh.client.connecting import connect, connect_sync
    from repomesh.client.errors import RemoteError, ServerNotFound, ServerUnreachable
    from repomesh.client.generated.async_mesh import AsyncMesh
    from repomesh.client.generated.sync_mesh import SyncMesh

__all__ = [
    "AsyncMesh",
    "RemoteError",
    "ServerNotFound",
    "ServerUnreachable",
    "SyncMesh",
    "connect",
    "connect_sync",
]

_MODULES = {
    "AsyncMesh": "generated.async_mesh",
    "RemoteError": "errors",
    "ServerNotFound": "errors",
    "ServerUnreachable": "errors",
    "SyncMesh": "generated.sync_mesh",
    "connect": "connecting",
    "connect_sync": "connecting",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
