"""The outcome of every command is a line with a past participle, or its answer is printed whole."""

from __future__ import annotations

from datetime import UTC, datetime

from repomesh.client.catalogue import operations
from repomesh.views.outcomes import PRINTED_WHOLE, outcome_line, past
from repomesh.views.terminal_text import TextStyle


def test_the_turns_of_a_meeting_say_how_it_goes_on() -> None:
    meeting = {"id": "m", "topic": "Which?", "status": "in_progress", "outcome": None, "decision_id": None}
    meeting |= {"phase": "discussion", "speaker_name": "bob"}
    style = TextStyle(datetime.now(UTC))
    speak, vote = "meeting.speak", "meeting.vote"
    assert outcome_line(style, speak, meeting) == "spoke in meeting m: it is bob's turn to speak"
    ann, ben = ({"agent_name": name, "status": "joined", "vote": None} for name in ("ann", "ben"))
    meeting |= {"phase": "voting", "speaker_name": None, "participants": [ann, ben]}
    assert outcome_line(style, vote, meeting) == "voted in meeting m: everybody may vote now"
    ann["vote"] = "agree"
    assert outcome_line(style, vote, meeting) == "voted in meeting m: 1 of 2 have voted; waiting for ben"
    meeting |= {"status": "completed", "phase": None, "outcome": "no_consensus"}
    assert outcome_line(style, vote, meeting) == "voted in meeting m: ended with no consensus"
    meeting |= {"outcome": "consensus", "decision_id": "d"}
    assert outcome_line(style, vote, meeting) == "voted in meeting m: consensus, decision d"


def test_every_command_has_an_outcome_or_is_printed_whole() -> None:
    for name, described in operations().items():
        verb = name.partition(".")[2]
        if described.kind == "command" and name not in PRINTED_WHOLE:
            assert past(verb).endswith(("d", "t", "n", "secret")), name
