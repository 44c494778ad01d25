"""What is wrong with one session holds up none of the others that are to be woken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from repomesh.client.errors import RemoteError
from repomesh.daemon.background import is_alive
from repomesh.daemon.wake_methods import WakeTarget, codex, is_over
from repomesh.daemon.waker import AGAIN_AFTER_FAILURE_S, Waker

pytestmark = pytest.mark.anyio


def item(session_id: str, **fields: Any) -> dict[str, Any]:
    agent = {"agent_id": f"of {session_id}", "agent_name": session_id}
    return {"cli": "any", "session_id": session_id, "cwd": "", "processes": []} | agent | fields


class Server:
    """Answers what the waker asks: which sessions are due, and what to tell each."""

    def __init__(self, *items: dict[str, Any], refuses: Mapping[str, RemoteError] | None = None) -> None:
        self._items, self._refuses = items, refuses or {}
        self.done: dict[str, str] = {}

    async def call_json(self, name: str, fields: Mapping[str, Any]) -> Any:
        if name == "wake.due":
            return {"items": list(self._items), "again_s": None}
        if name == "wake.take":
            if fields["session_id"] in self._refuses:
                raise self._refuses[fields["session_id"]]
            return {"boundary": fields["session_id"], "text": "look", "message_ids": ["one"]}
        self.done[fields["boundary"]] = fields["failure"]
        return {}


async def broken_for_bad(_data: Path, session: WakeTarget, _text: str) -> None:
    if session.session_id == "bad":
        raise OverflowError("signed integer is greater than maximum")


async def test_an_unexpected_failure_of_one_way_is_reported_and_the_others_are_woken(tmp_path: Path) -> None:
    server = Server(item("first"), item("bad"), item("last"))
    assert await Waker(server, tmp_path, {"any": broken_for_bad}).wake_due() is None
    assert server.done == {"first": "", "bad": "the attempt failed: OverflowError", "last": ""}


async def test_a_session_that_cannot_be_tried_is_skipped_and_looked_at_again(tmp_path: Path) -> None:
    gone = RemoteError(404, "not_found", "gone", "")
    items = item("first"), item("odd", processes=None), item("gone"), item("last")
    server = Server(*items, refuses={"gone": gone})
    assert await Waker(server, tmp_path, {"any": broken_for_bad}).wake_due() == AGAIN_AFTER_FAILURE_S
    assert server.done == {"first": "", "last": ""}


async def test_a_refused_token_ends_the_look(tmp_path: Path) -> None:
    refused = RemoteError(401, "token_revoked", "revoked", "")
    server = Server(item("first"), refuses={"first": refused})
    with pytest.raises(RemoteError):
        await Waker(server, tmp_path, {"any": broken_for_bad}).wake_due()


@pytest.mark.parametrize("number", [0, -1, 2**31, 9_999_999_999, 10**30])
def test_what_can_be_no_process_is_not_alive(number: int) -> None:
    assert not is_alive(number)


async def test_a_session_of_an_impossible_process_is_over(tmp_path: Path) -> None:
    processes = ("9999999999@here",)
    assert is_over(processes)
    with pytest.raises(Exception, match="its process is over"):
        await codex(tmp_path, WakeTarget("codex", "x", "", processes), "look")
