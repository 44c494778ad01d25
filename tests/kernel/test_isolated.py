"""Functions in a process of their own: what they answer, and what becomes of those that take too much."""

from __future__ import annotations

import math
import os
import textwrap
import time
from typing import Any

import pytest

from repomesh.domains.changes.building.structured.isolated import ConflictedContents, merge_isolated
from repomesh.domains.changes.building.structured.outcome import NotMergeable
from repomesh.kernel.isolated import IsolatedCallFailed, IsolationLimits, call_isolated

LIMITS = IsolationLimits(memory_bytes=1024**3, cpu_s=5)


def test_a_function_of_a_module_answers_json() -> None:
    assert call_isolated(textwrap.dedent, "  grüße\n  you", LIMITS) == "grüße\nyou"


def test_one_that_fails_says_how() -> None:
    with pytest.raises(IsolatedCallFailed, match="TypeError"):
        call_isolated(textwrap.dedent, None, LIMITS)


def test_one_that_takes_too_much_memory_is_ended() -> None:
    with pytest.raises(IsolatedCallFailed, match="128 MB"):
        call_isolated(bytearray, 10**9, IsolationLimits(memory_bytes=128 * 1024**2, cpu_s=5))


def test_one_that_takes_too_much_time_is_ended() -> None:
    with pytest.raises(IsolatedCallFailed, match="more than 1 s"):
        call_isolated(math.factorial, 10_000_000, IsolationLimits(memory_bytes=1024**3, cpu_s=1))


def test_one_that_only_waits_is_ended_too() -> None:
    with pytest.raises(IsolatedCallFailed, match="more than 4 s"):
        call_isolated(time.sleep, 60, IsolationLimits(memory_bytes=1024**3, cpu_s=1))


def test_it_knows_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOMESH_TOKEN", "secret")
    assert call_isolated(os.getenv, "REPOMESH_TOKEN", LIMITS) is None


@pytest.mark.parametrize(
    ("name", "statement"), [("x.py", b"{};"), ("x.ts", b"{}();"), ("x.js", b"{}();")], ids=str
)
def test_files_that_were_written_to_take_memory_stay_conflicts(name: str, statement: bytes) -> None:
    sides = [b"import os\n"]
    sides += [b"import os\n" + statement.replace(b"{}", letter) * 150_000 + b"\n" for letter in (b"a", b"b")]
    (outcome,) = merge_isolated([ConflictedContents(name, *sides)], [])
    assert isinstance(outcome, NotMergeable)


def test_what_can_be_merged_is_merged_and_the_rest_has_its_reason() -> None:
    base, ours, theirs = (b"import os\n%s" % line for line in (b"", b"import re\n", b"import json\n"))
    files = [ConflictedContents("a.py", base, ours, theirs), ConflictedContents("b.txt", b"1", b"2", b"3")]
    merged, refused = merge_isolated(files, [])
    assert isinstance(merged, bytes)
    assert b"import json" in merged
    assert b"import re" in merged
    assert str(refused) == "both sides changed the same lines"


def test_an_argument_is_whatever_json_can_say() -> None:
    value: list[Any] = [1, None, {"a": "\N{SNOWMAN}"}]
    assert call_isolated(list, value, LIMITS) == value
