"""Connect's records in the user's state folder: per data folder, and for files that repositories share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from repomesh.connect.editing import EditedLines
from repomesh.connect.files import remove_folders, write_private
from repomesh.kernel import data_folder, trust


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore")


class FileRecord(_Record):
    """How a settings file came to be what connect left, so that it can be what it was before."""

    made: bool = Field(description="Whether there was none before.")
    folders: list[str] = Field(default_factory=list, description="Folders made for it, the innermost first.")
    digest: str = Field(description="SHA-256 of what connect left.")
    hunks: list[EditedLines] = Field(default_factory=list)
    containers: list[list[str]] = Field(default_factory=list, description="Objects and lists made in it.")


class ConnectedMarker(_Record):
    """Record in the data folder that its user connected the CLI here. Hooks do nothing without it."""

    cli: str
    agent: str | None = Field(None, description="Who the CLI is to be; else a free name is made.")
    http: bool = False
    token_id: str | None = Field(None, description="The token that the CLI has for HTTP.")
    files: dict[str, FileRecord] = Field(default_factory=dict, description="Of the project, by path.")


class SharedSettings(_Record):
    """What a person's own settings files hold of us, and for which repositories."""

    repositories: list[str] = Field(default_factory=list, description="Data folders.")
    files: dict[str, FileRecord] = Field(default_factory=dict)


M = TypeVar("M", bound=_Record)


def marker_path(data: Path, cli: str) -> Path | None:
    """The path of a repository's marker; None if its data folder is missing or not trusted."""
    record = trust.record_of(data)
    return record / data_folder.CONNECT / f"{cli}.json" if record is not None else None


def shared_path(state: Path, cli: str) -> Path:
    """The path of the record of shared settings files."""
    return state / "connect" / f"{cli}.json"


def state_folder(home: Path) -> Path:
    """The user's state folder of repomesh."""
    variable = os.environ.get("XDG_STATE_HOME")
    return (
        Path(variable) if variable and Path(variable).is_absolute() else home / ".local" / "state"
    ) / "repomesh"


def read_marker(data: Path, cli: str) -> ConnectedMarker | None:
    """Read the marker, None where the CLI is not connected. A broken one is read as one without details."""
    path = marker_path(data, cli)
    if path is None:
        return None
    marker = _read(path, ConnectedMarker)
    return ConnectedMarker(cli=cli) if marker is None and path.exists() else marker


def read_shared(state: Path, cli: str) -> SharedSettings:
    """Read the record of shared files, without repositories that are gone or no longer connected."""
    shared = _read(shared_path(state, cli), SharedSettings) or SharedSettings()
    shared.repositories = [data for data in shared.repositories if read_marker(Path(data), cli) is not None]
    return shared


def write_marker(data: Path, marker: ConnectedMarker) -> None:
    """Write the marker; only its owner may read it, since a hunk may hold a line with a secret.

    Raises UntrustedFolder unless the data folder was prepared.
    """
    path = marker_path(data, marker.cli)
    if path is None:
        raise trust.UntrustedFolder(f"{data} has no record on this machine", hint=trust.adoption_hint(data))
    write_private(path, marker.model_dump_json(indent=1) + "\n")


def write_shared(state: Path, cli: str, shared: SharedSettings) -> None:
    """Write the record of shared files, or remove it when no repository needs it."""
    path = shared_path(state, cli)
    if shared.repositories:
        write_private(path, shared.model_dump_json(indent=1) + "\n")
    else:
        path.unlink(missing_ok=True)
        remove_folders([str(path.parent), str(state)])


def _read(path: Path, model: type[M]) -> M | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
