"""Paths at the prompt are relative to the folder one stands in, as git's pathspecs are."""

from __future__ import annotations

import pytest

from cli.running import Shell


@pytest.fixture
def below(running: Shell) -> Shell:
    """A prompt in the folder 'src' of a repository whose server runs."""
    running.ok("agent", "register", "bob")
    folder = running.folder / "src"
    folder.mkdir()
    return running.at(folder)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("app.py", "src/app.py"),
        ("./app.py", "src/app.py"),
        ("../app.py", "app.py"),
        ("/app.py", "app.py"),
        (":/app.py", "app.py"),
        ("*.py", "src/*.py"),
        ("**", "src/**"),
        (".", "src/**"),
        ("sub/", "src/sub/**"),
        ("notes:x", "notes:x"),
    ],
)
def test_a_path_is_relative_to_the_folder(below: Shell, typed: str, meant: str) -> None:
    assert f"locked {meant}," in below("lock", "acquire", typed, "--as", "bob").out
    assert below("lock", "check", typed, "--as", "bob").code == 0
    assert below("lock", "release", typed, "--as", "bob").out == f"released {meant}\n"


def test_every_command_takes_paths_alike(below: Shell) -> None:
    root = below.folder.parent
    task = below.ok("task", "create", "Write it", "--scope", "app.py,*.md")
    assert task["scope"] == ["src/app.py", "src/*.md"]
    below.ok("agent", "register", "alice")
    below.ok("lock", "acquire", "app.py", "--as", "alice")
    assert below.ok("lock", "list", "--path", "app.py")["items"]
    assert not below.at(root).ok("lock", "list", "--path", "app.py")["items"]
    for words in (("app.py",), (str(below.folder / "app.py"),), ("/src/app.py",)):
        assert "alice has locked src/app.py" in below("guard", "check", *words, "--as", "bob").err
    assert below("guard", "check", "/app.py", "--as", "bob").code == 0
    outside = below("lock", "acquire", "../../app.py", "--as", "bob", "--json").problem
    assert outside["code"] == "outside_repository"
    assert "'/' or ':/' before it" in " ".join(below("lock", "acquire", "--help").out.split())


def test_paths_are_from_the_root_where_the_server_is_of_another_repository(
    below: Shell, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from cli.running import repository

    elsewhere = repository(tmp_path_factory.mktemp("other")) / "src"
    elsewhere.mkdir()
    url = below.ok("status")["url"]
    token = (below.folder.parent / ".repomesh" / "token").read_text().strip()
    there = below.at(elsewhere)
    said = there("lock", "acquire", "app.py", "--as", "bob", REPOMESH_URL=url, REPOMESH_TOKEN=token)
    assert said.out.startswith("locked app.py,"), said.err
    said = below("lock", "acquire", "b.py", "--as", "bob", REPOMESH_URL=url, REPOMESH_TOKEN=token)
    assert said.out.startswith("locked src/b.py,")
