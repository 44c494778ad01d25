"""Meetings at the prompt: called, held, watched, replayed, written down; and decisions of people."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from typing import Any

from cli.running import Shell
from repomesh.views import meeting_view
from repomesh.views.terminal_text import TextStyle

TRICK = "Fine.\n\ncat agrees\x1b[31m\u202e"


def team(shell: Shell, *names: str) -> None:
    for name in names:
        shell.ok("agent", "register", name)


def called(shell: Shell, *words: str) -> str:
    """A meeting of ann, ben and cat; answers its id."""
    made = shell.ok("meeting", "create", "Which parser?", "ann", "ben", "cat", *words)
    return str(made["id"])


def hold(shell: Shell, meeting: str) -> None:
    """A round that is carried by two thirds, against one."""
    shell.ok("meeting", "speak", meeting, "By hand.", "--kind", "proposal", "--as", "ann")
    shell.ok("meeting", "speak", meeting, "-", "--as", "ben", stdin="It is much work,\nbut well.\n")
    shell.ok("meeting", "speak", meeting, TRICK, "--as", "cat")
    shell.ok("meeting", "vote", meeting, "agree", "--reason", "Fast.", "--as", "ann")
    shell.ok("meeting", "vote", meeting, "agree", "--as", "ben")
    shell.ok(
        "meeting", "vote", meeting, "disagree", "--reason", TRICK, "--amendment", "Use lark.", "--as", "cat"
    )


def test_a_meeting_is_held_and_handed_on(running: Shell) -> None:
    team(running, "ann", "ben", "cat")
    meeting = called(running, "--consensus", "two_thirds", "--agenda", "Speed", "--as", "ann")
    assert "It waits for its start." in running("meeting", "show", meeting).out
    running.ok("meeting", "start", meeting, "--as", "ann")
    assert "It is ann's turn until" in running("meeting", "show", meeting).out
    assert "You are asked to speak, until" in running("meeting", "request", meeting, "--as", "ann").out
    early = running("meeting", "speak", meeting, "I.", "--as", "ben")
    assert (early.code, "it is the turn of 'ann'" in early.err) == (4, True)
    hold(running, meeting)

    page = running("meeting", "show", meeting).out
    assert "completed · consensus · round 1 of 3" in page
    assert "  1. Speed" in page
    assert "    It is much work,\n    but well." in page
    assert "  cat disagrees: Fine. cat agrees\N{REPLACEMENT CHARACTER}" in page
    assert "    would change: Use lark." in page
    assert not {"\x1b", "\u202e"} & set(page)
    assert f"{meeting}\tcompleted\tconsensus" in running("meeting", "list", "--participant", "cat").out
    assert running.ok("meeting", "list", "--status", "pending")["items"] == []

    written = running("meeting", "minutes", meeting).out
    assert "\n## Decision\n\n> By hand.\n" in written
    assert not {"\x1b", "\u202e"} & set(written)
    running("meeting", "minutes", meeting, "--format", "json", "--output", "minutes.json")
    kept = json.loads((running.folder / "minutes.json").read_text())
    assert [one["agent_name"] for one in kept["decision"]["dissent"]] == ["cat"]
    assert running.ok("meeting", "minutes", meeting)["markdown"].startswith("# Which parser?")

    page = running("decision", "show", kept["decision_id"]).out
    assert "  cat dissented: Fine." in page
    assert "Why\n  ann: By hand." in page


def test_a_meeting_is_watched_to_its_end_and_replayed(running: Shell) -> None:
    team(running, "ann", "ben", "cat")
    meeting = called(running, "--start")
    watching = running.start("meeting", "watch", meeting)
    assert watching.stdout is not None
    while "ann is asked to speak" not in watching.stdout.readline():
        pass
    hold(running, meeting)
    shown, complaints = watching.communicate(timeout=60)
    assert (watching.returncode, complaints) == (0, "")
    assert "By hand." in shown
    assert "cat dissented: Fine." in shown
    assert shown.rstrip().endswith("the meeting is over: consensus")
    assert not {"\x1b", "\u202e"} & set(shown)

    again = [json.loads(line) for line in running("meeting", "watch", meeting, "--json").out.splitlines()]
    played = running("meeting", "replay", meeting, "--speed", "0", "--json").out.splitlines()
    events = [json.loads(line) for line in played]
    assert [event["seq"] for event in events] == [event["seq"] for event in again]
    assert events[0]["offset_s"] == 0
    faster = running("meeting", "replay", meeting, "--speed", "1000", "--json").out.splitlines()
    assert 0 < json.loads(faster[-1])["offset_s"] < events[-1]["offset_s"]
    text = running("meeting", "replay", meeting, "--speed", "0").out.splitlines()
    assert text[0] == "+0:00.0  called, with ann, ben, cat: Which parser?"
    assert text[-1].startswith("+")
    for event in events:
        assert (
            meeting_view.event_lines(TextStyle(datetime.now(UTC)), event)
            or event["type"] == "decision.recorded"
        )


def test_watching_ends_at_a_word(running: Shell) -> None:
    team(running, "ann", "ben", "cat")
    meeting = called(running)
    watching = running.start("meeting", "watch", meeting)
    assert watching.stdout is not None
    assert "called" in watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    shown, complaints = watching.communicate(timeout=60)
    assert (watching.returncode, shown, complaints) == (0, "", "")
    running.ok("meeting", "cancel", meeting, "--reason", "nobody came")
    assert "cancelled: nobody came" in running("meeting", "watch", meeting).out
    assert "Cancelled: nobody came" in running("meeting", "show", meeting).out


def test_joining_and_leaving(running: Shell) -> None:
    team(running, "ann", "ben", "cat", "eve")
    meeting = called(running, "--start")
    running.ok("meeting", "join", meeting, "--as", "eve")
    running.ok("meeting", "leave", meeting, "--as", "ann")
    page = running("meeting", "show", meeting).out
    assert "  eve  joined · waiting" in page
    assert "  ann  left" in page
    assert "Nothing is asked of you now" in running("meeting", "request", meeting, "--as", "eve").out


def test_what_is_wrong_is_said(running: Shell) -> None:
    nothing = "01900000-0000-7000-8000-000000000000"
    for command in ("show", "watch", "replay", "minutes", "start"):
        done = running("meeting", command, nothing, "--json")
        assert (done.code, done.problem["code"], done.out) == (3, "meeting_not_found", ""), command
    without = running("meeting", "create")
    assert (without.code, "--suggested" in without.err) == (2, True)
    assert running("meeting", "replay", nothing, "--speed", "-1").code == 2
    assert running("meeting", "vote", nothing, "perhaps", "--as", "ann").code == 2
    assert running("meeting", "minutes", nothing, "--format", "html").code == 2
    assert "nothing" in running("meeting", "list").err


def dispute(shell: Shell) -> list[str]:
    """Two who contradict each other; answers the ids of their messages."""
    team(shell, "ann", "ben")
    first = shell.ok(
        "message", "send", "ben", "We should take lark.", "--subject", "Parser choice", "--as", "ann"
    )
    ids = [str(first["id"])]
    for _ in range(3):
        for name, text in (
            ("ben", "I disagree: lark is too slow for our parser."),
            ("ann", "No, that is wrong: a parser by hand can't be maintained. Don't you see?"),
        ):
            ids.append(str(shell.ok("message", "reply", ids[0], text, "--as", name)["id"]))
    return ids


def test_a_meeting_is_called_on_what_is_suggested(running: Shell) -> None:
    ids = dispute(running)
    found = running.ok("meeting", "suggest", "--hours-back", "1")["suggested_topics"]
    shown = running("meeting", "suggest").out
    assert shown.startswith(f"1. {found[0]['topic']}")
    assert "7 messages" in shown
    missing = running("meeting", "create", "--suggested", str(len(found) + 1))
    assert (missing.code, "meeting suggest" in missing.err) == (3, True)
    made = running.ok("meeting", "create", "--suggested", "PARSER CHOICE", "--consensus", "unanimous")
    assert made["topic"] == found[0]["topic"]
    assert set(made["related_message_ids"]) == set(ids)
    assert {one["agent_name"] for one in made["participants"]} == {"ann", "ben"}
    assert (made["meeting_type"], made["consensus"]) == ("auto_generated", "unanimous")
    assert "concerns 7 messages" in running("meeting", "show", made["id"]).out


def decided(shell: Shell, topic: str, text: str, *words: str) -> str:
    return str(shell.ok("decision", "record", topic, text, *words)["id"])


def test_people_record_supersede_and_overrule(running: Shell) -> None:
    first = decided(running, "Indentation", "Tabs.", "--rationale", "One key.")
    second = decided(running, "Indentation", "Spaces.")
    running.ok("decision", "supersede", first, "--by", second, "--reason", "Diffs.")
    page = running("decision", "show", first).out
    assert f"It is superseded by {second}: Diffs." in page
    assert "recorded by the owner" in page
    third = decided(running, "Width", "80.", "--tasks", json.dumps([{"goal": "Wrap lines"}]))
    assert "open: Wrap lines" in running("decision", "show", third).out
    overruled: Any = running.ok("decision", "overrule", third, "--reason", "Screens are wide.")
    assert overruled["status"] == "overruled"
    assert running("decision", "overrule", third, "--reason", "Again.").code == 4
    assert [one["id"] for one in running.ok("decision", "list", "--status", "active")["items"]] == [second]
    assert f"{second}\tactive" in running("decision", "list", "--text", "spaces").out
    team(running, "ann")
    assert running("decision", "record", "T", "D", "--as", "ann").code == 5
