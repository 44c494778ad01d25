"""The person at the prompt: what needs them, and how they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.running import Shell, eventually, git
from repomesh.cli import terminal_user


@pytest.fixture
def jane(running: Shell) -> Shell:
    """A prompt whose repository says who sits there, with an agent that asks."""
    git(running.folder, "config", "user.name", "Jané Doe")
    running.ok("agent", "register", "alice")
    return running


def ask(shell: Shell, text: str, *words: str) -> Any:
    return shell.ok("question", "ask", text, *words, "--as", "alice")


def test_a_person_is_made_on_first_use_and_answers(jane: Shell) -> None:
    assert "nothing needs you" in jane("inbox").out
    (made,) = jane.ok("agent", "list", "--type", "human")["items"]
    assert (made["name"], made["program"]) == ("jane-doe", "repomesh inbox")
    asked = ask(jane, "Which port?", "--options", "80", "--options", "8080")
    assert asked["asked_name"] == "jane-doe"
    shown = jane("inbox").out
    assert "alice asks" in shown
    assert "2. 8080" in shown
    assert asked["id"][-8:] in shown
    said = jane("inbox", "reply", asked["id"][-8:], "2")
    assert said.out == "alice is told: 8080\n", said.err
    (reply,) = jane.ok("message", "inbox", "--unread", "--as", "alice")["items"]
    assert (reply["sender_name"], reply["body"]) == ("jane-doe", "8080")
    assert jane.ok("agent", "list", "--type", "human")["items"][0]["name"] == "jane-doe"
    assert jane.ok("inbox", "list")["questions"] == []


def test_what_holds_others_up_comes_first(jane: Shell) -> None:
    jane("inbox")
    jane.ok("message", "send", "jane-doe", "Done.", "--subject", "Parser", "--as", "alice")
    jane.ok("message", "send", "jane-doe", "Fire!", "--priority", "urgent", "--as", "alice")
    ask(jane, "Later?")
    ask(jane, "Soon?", "--deadline-s", "600", "--default", "yes")
    found = jane.ok("inbox", "list")
    assert [asked["question"] for asked in found["questions"]] == ["Soon?", "Later?"]
    assert [message["body"] for message in found["messages"]] == ["Fire!", "Done."]
    shown = jane("inbox").out
    places = [shown.index(text) for text in ("Soon?", "then this applies: yes", "Later?", "Fire!", "Done.")]
    assert places == sorted(places)
    short = found["messages"][1]["id"][-8:]
    assert "Done." in jane("inbox", "read", short).out
    assert [message["body"] for message in jane.ok("inbox", "list")["messages"]] == ["Fire!"]
    jane.ok("inbox", "reply", found["messages"][0]["id"], "-", stdin="On my way.\n")
    assert jane.ok("inbox", "list")["messages"] == []
    assert "no question or message id" in jane("inbox", "read", "ffffffff").err


def test_an_inbox_is_followed(jane: Shell) -> None:
    ask(jane, "Already there?")
    following = jane.start("inbox", "follow", "--json")
    try:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["questions"][0]["question"] == "Already there?"

        def asked() -> bool:
            ask(jane, "And now?")
            return True

        assert eventually(asked)
        event = json.loads(following.stdout.readline())
        while event["type"] != "question.asked":
            event = json.loads(following.stdout.readline())
        assert event["data"]["question"]["question"] == "And now?"
    finally:
        following.terminate()
        following.wait(10)


def test_the_one_who_was_made_up_is_who_comes(jane: Shell) -> None:
    assert ask(jane, "Anybody?")["asked_name"] == "owner"
    assert [one["question"] for one in jane.ok("inbox", "list")["questions"]] == ["Anybody?"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("Jané  Doe", "jane-doe"), ("", ""), ("佐藤", ""), ("a" * 90, "a" * 60), ("-x_Y-", "x-y")],
)
def test_a_persons_name_becomes_an_agents(text: str, name: str) -> None:
    assert terminal_user.to_agent_name(text) == name


def test_a_name_that_another_has_gets_a_number() -> None:
    assert terminal_user.free_name("jane", {"jane", "jane-2"}) == "jane-3"
    assert terminal_user.free_name("repomesh", set()) == "repomesh-2"
