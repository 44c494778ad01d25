"""A token file that is made anew: what was in it before opens nothing any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from repomesh.app import Server, open_workspace
from repomesh.domains.workspaces import tokens
from repomesh.kernel.errors import Unauthenticated
from repomesh.kernel.identity import Role, system_caller
from repomesh.kernel.settings import Settings
from repomesh.store import folder


def secret_of(data: Path) -> str:
    secret = folder.read_secret(data / folder.TOKEN)
    assert secret is not None
    return secret


def opens(server: Server, secret: str) -> bool:
    try:
        server.store.read_now(system_caller(""), lambda tx: tokens.find(tx, secret))
    except Unauthenticated:
        return False
    return True


def made_anew(server: Server, data: Path) -> str:
    (data / folder.TOKEN).unlink()
    open_workspace(server.store, data, "test", None)
    return secret_of(data)


def test_the_token_before_opens_nothing(server: Server, settings: Settings) -> None:
    first = secret_of(settings.data)
    second = made_anew(server, settings.data)
    third = made_anew(server, settings.data)
    assert [opens(server, secret) for secret in (first, second, third)] == [False, False, True]


def test_a_start_with_the_file_in_place_changes_nothing(server: Server, settings: Settings) -> None:
    first = secret_of(settings.data)
    open_workspace(server.store, settings.data, "test", None)
    assert secret_of(settings.data) == first
    assert opens(server, first)


def test_an_owners_token_that_was_made_by_command_stays(server: Server, settings: Settings) -> None:
    existing = open_workspace(server.store, settings.data, "test", None)
    _, named = server.store.write_now(
        system_caller(existing), lambda tx: tokens.issue(tx, existing, Role.OWNER, "for the laptop")
    )
    made_anew(server, settings.data)
    assert opens(server, named)


def test_another_folder_on_the_same_database_keeps_its_token(
    server: Server, settings: Settings, tmp_path: Path
) -> None:
    if settings.database_url is None:
        pytest.skip("a database file belongs to one folder")
    other = tmp_path / "other"
    folder.prepare(other)
    open_workspace(server.store, other, "test", None)
    mine, theirs = secret_of(settings.data), secret_of(other)
    made_anew(server, settings.data)
    assert (opens(server, mine), opens(server, theirs)) == (False, True)
