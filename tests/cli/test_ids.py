"""Ids are taken as they are printed: whole, by their end, or by a beginning that fits one."""

from __future__ import annotations

import json
from typing import Any

from cli import tree
from cli.running import Shell
from repomesh.cli import ids
from repomesh.client.catalogue import operations
from repomesh.views.terminal_text import ID_CHARS

END = ID_CHARS


def test_a_part_of_an_id_is_taken_wherever_an_id_is(running: Shell) -> None:
    for name in ("alice", "bob"):
        running.ok("agent", "register", name)
    first, second = (running.ok("task", "create", goal) for goal in ("Write", "Publish"))
    assert running.ok("task", "show", first["id"][-END:])["id"] == first["id"]
    assert running.ok("task", "update", second["id"][-6:], "--dependencies", first["id"][-END:])[
        "dependencies"
    ] == [first["id"]]
    assert running.ok("events", "tail", "--task-id", first["id"][-END:], "-n", "1") is not None
    assert running("api", "task.show", f"task_id={first['id'][-END:]}").json["id"] == first["id"]
    sent = running.ok("message", "send", "bob", "Hi", "--task-id", first["id"][-END:], "--as", "alice")
    reply = running.ok("message", "reply", sent["id"][-END:], "Ho", "--as", "bob")
    assert reply["thread_id"] == sent["id"]
    assert running.ok("inbox", "read", reply["id"][-END:], "--as", "alice")["id"] == reply["id"]
    asked = running.ok("question", "ask", "Which?", "--as", "alice")
    assert running.ok("question", "show", asked["id"][-END:])["id"] == asked["id"]
    token = running.ok("token", "create", "observer", "--show-token")
    assert running.ok("token", "revoke", token["token_id"][-END:])["id"] == token["token_id"]


def test_what_fits_several_is_refused_with_the_candidates(running: Shell) -> None:
    made = [running.ok("task", "create", goal) for goal in ("Write", "Publish")]
    part = made[0]["id"][:6]
    refused = running("task", "show", part, "--json")
    assert (refused.code, refused.problem["code"]) == (2, "ambiguous_id")
    assert [one["id"] for one in refused.problem["candidates"]] == [task["id"] for task in reversed(made)]
    shown = running("task", "show", part).err
    assert all(f"{task['id']}  task {task['goal']}" in shown for task in made)
    assert running("task", "show", "abc").code == 2
    assert running("task", "show", "abcdef", "--json").problem["code"] == "id_not_found"


def test_every_field_that_holds_an_id_takes_a_part_of_one() -> None:
    """A new operation whose field is called like an id says what the id is of."""
    elsewhere = {
        "session_id",
        "chunk_id",
        "artifact_id",
        "event_id",
        "instance_id",
        "process_id",
        "import_id",
    }
    elsewhere |= {"delivery_id", "workspace_id"}  # given whole, or a name
    for name, described in operations().items():
        for field in described.fields:
            if not field.name.endswith(("_id", "_ids")) or field.name in elsewhere:
                continue
            if (name, field.name) in ids.NAMES or name.startswith(("wake.", "webhook.", "token.")):
                continue
            assert ids.kinds_of(name, field.name) is not None, f"{name}: {field.name}"


def _completed(shell: Shell, kind: str, typed: str) -> str:
    words = f"repomesh {typed}"
    number = len(words.split(" ")) - 1
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(number), "_TYPER_COMPLETE_ARGS": words}
    asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    return shell(_REPOMESH_COMPLETE=f"complete_{kind}", **asked).out


def test_shells_complete_what_the_server_knows(running: Shell) -> None:
    running.ok("agent", "register", "alice")
    running.ok("channel", "create", "builds")
    task = running.ok("task", "create", "Write it")
    end = task["id"][-END:]
    cases: list[tuple[str, Any]] = [
        ("agent show al", "alice"),
        ("agent list --as al", "alice"),
        ("channel show bu", "builds"),
        ("message send #bu", "#builds"),
        (f"task show {end[:3]}", end),
        (f"task show {task['id'][:10]}", task["id"]),
        ("connect cl", "claude"),
    ]
    for kind in ("bash", "zsh", "fish"):
        for typed, offered in cases:
            assert offered in _completed(running, kind, typed), (kind, typed)
    running.ok("down")
    done = running(_REPOMESH_COMPLETE="complete_bash", COMP_WORDS="repomesh agent show al", COMP_CWORD="3")
    assert (done.out.strip(), done.err) == ("", "")


def test_candidates_are_part_of_the_one_error(running: Shell) -> None:
    made = [running.ok("task", "create", goal) for goal in ("Write", "Publish")]
    refused = running("task", "show", made[0]["id"][:6])
    assert tree.fault(tree.Ran(refused.code, refused.out, refused.err), as_json=False) is None
    assert json.loads(running("task", "show", made[0]["id"][:6], "--json").err)["candidates"]
