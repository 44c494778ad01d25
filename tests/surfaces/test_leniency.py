"""What is read otherwise than it came, and what is named when a field is mistyped."""

from __future__ import annotations

import pytest

from repomesh.kernel.errors import InvalidRequest
from repomesh.operations import registry
from repomesh.surfaces.leniency import correct_fields


def test_a_text_is_taken_for_a_list_of_one() -> None:
    send = registry["message.send"].request
    assert correct_fields(send, {"to": "bob", "body": "[x]"}) == (
        {"to": ["bob"], "body": "[x]"},
        ["to: a text was read as a list of one"],
    )
    assert correct_fields(send, {"to": '["bob"]'})[0] == {"to": ["bob"]}
    for kept in ("", "[bob", "{}"):
        assert correct_fields(send, {"to": kept}) == ({"to": kept}, [])
    assert correct_fields(registry["question.ask"].request, {"options": "yes"})[0] == {"options": ["yes"]}


@pytest.mark.parametrize(
    ("operation", "fields", "said"),
    [
        (
            "message.send",
            {"too": ["bob"], "body": "Hi"},
            "too: Extra inputs are not permitted; did you mean 'to'?",
        ),
        ("message.send", {"qqqqq": 1, "body": "Hi"}, "qqqqq: Extra inputs are not permitted"),
        ("lock.acquire", {"resources": [""]}, "resources.0: String should have at least 1 character"),
        ("task.claim", {"task_id": "nxt"}, "Input should be 'next'"),
    ],
)
def test_a_refusal_names_the_field_that_is_meant(
    operation: str, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        registry[operation].parse(fields)
    assert refused.value.message.endswith(said)
    assert len(refused.value.details["errors"]) == 1
    assert "constrained" not in refused.value.message
