"""Webhooks arrive, at least once, signed, at whom they were meant for, and at nobody else."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpcore
import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import WebhookVerificationError

from harness import Mesh, Refused, Speaker
from receiver import Answer, Receiver, eventually, receiving
from repomesh.adapters.bus.local import LocalBus
from repomesh.app import Server
from repomesh.jobs import webhook_sender
from repomesh.jobs.webhook_sender import WebhookSender
from repomesh.jobs.webhooks import WebhookDeliveryJob
from repomesh.kernel import limits
from repomesh.kernel.identity import system_caller
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.operations import registry
from repomesh.store.transaction import Transaction

pytestmark = [pytest.mark.anyio, pytest.mark.settings(webhook_hosts=["127.0.0.1", "hook.example"])]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def subscribe(mesh: Mesh, url: str, *types: str, agent: str | None = None) -> dict[str, Any]:
    headers = {"X-Repomesh-Agent": agent} if agent else {}
    made: dict[str, Any] = await mesh.post("/v1/webhooks", headers, url=url, types=types)
    return made["webhook"] | {"secret": made["secret"]}


async def deliveries(mesh: Mesh, webhook: dict[str, Any], **criteria: Any) -> list[dict[str, Any]]:
    """The oldest first."""
    page = await mesh.get(f"/v1/webhooks/{webhook['id']}/deliveries", **criteria)
    return list(reversed(page["items"]))


async def settled(mesh: Mesh, webhook: dict[str, Any], *expected: tuple[str, int]) -> list[dict[str, Any]]:
    """Wait until the deliveries have these statuses and attempts; they themselves."""
    found: list[dict[str, Any]] = []

    async def as_expected() -> bool:
        nonlocal found
        found = await deliveries(mesh, webhook)
        return [(one["status"], one["attempts"]) for one in found] == list(expected)

    try:
        await eventually(as_expected)
    except TimeoutError:
        raise AssertionError(found) from None
    return found


async def detail(mesh: Mesh, webhook: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = await mesh.get(f"/v1/webhooks/{webhook['id']}")
    return shown


def later(mesh: Mesh, seconds: float) -> None:
    """Let time pass, and the worker notice."""
    mesh.clock.advance(seconds)
    mesh.server.webhooks.wake()


# -- what arrives ----------------------------------------------------------------------------------


async def test_an_event_arrives_signed_as_a_cloud_event(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url + "?a=b", "chat.*")
    await alice.post("/v1/events", type="plan.updated")
    posted = await alice.post("/v1/events", type="chat.message", data={"text": "Grüße"})
    (got,) = await receiver.arrived(1)
    event = got.verified(webhook["secret"])
    assert (event["specversion"], event["id"], event["type"]) == (
        "1.0",
        posted["id"],
        "repomesh.chat.message",
    )
    assert event["data"] == {"text": "Grüße"}
    assert (event["seq"], event["actor"]) == (posted["seq"], alice.id)
    assert got.path == "/hook?a=b"
    assert got.headers["webhook-id"] == posted["id"]
    assert got.headers["content-type"].startswith("application/cloudevents+json")
    (delivery,) = await settled(mesh, webhook, ("delivered", 1))
    assert (delivery["event_id"], delivery["last_status"], delivery["response"]) == (
        posted["id"],
        200,
        "thanks",
    )
    assert delivery["next_at"] is None
    assert (await detail(mesh, webhook))["delivered_at"] is not None


async def test_a_damaged_event_is_skipped_and_named(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    await mesh.patch(f"/v1/webhooks/{webhook['id']}", status="paused")
    posted = [await alice.post("/v1/events", type="chat.message", data={"n": n}) for n in range(4)]
    seqs = [one["seq"] for one in posted]

    def damage(tx: Transaction) -> None:
        broken = {seqs[1]: {"at": 2**63 - 1}, seqs[2]: {"data": "{"}}
        for seq, columns in broken.items():
            for name, value in columns.items():
                statement = text(f"UPDATE events SET {name} = :value WHERE seq = :seq")
                tx.connection.execute(statement, {"value": value, "seq": seq})

    mesh.server.store.write_now(system_caller((await mesh.get("/v1/workspace"))["id"]), damage)
    await mesh.patch(f"/v1/webhooks/{webhook['id']}", status="active")
    await settled(mesh, webhook, ("delivered", 1), ("delivered", 1))
    assert [got.verified(webhook["secret"])["seq"] for got in await receiver.arrived(2)] == [seqs[0], seqs[3]]
    missed = (await mesh.get("/v1/events", type="webhook.missed"))["items"]
    assert [(one["data"]["after"], one["data"]["oldest_seq"]) for one in missed] == [
        (seq - 1, seq + 1) for seq in seqs[1:3]
    ]


async def test_events_arrive_in_the_order_of_the_log(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    await subscribe(mesh, receiver.url)
    last = (await mesh.get("/v1/events", limit=1, newest=True))["last_seq"]
    for number in range(60):
        await alice.post("/v1/events", type="chat.message", data={"number": number})
    await receiver.arrived(60)
    assert [event["seq"] for event in receiver.events] == list(range(last + 1, last + 61))


async def test_an_agents_webhook_gets_what_the_agent_may_see(mesh: Mesh, receiver: Receiver) -> None:
    alice, bob, carol = [await mesh.agent(name) for name in ("alice", "bob", "carol")]
    async with receiving() as owners:
        await subscribe(mesh, receiver.url, "message.sent", "token", "chat", agent="alice")
        await subscribe(mesh, owners.url, "message.sent", "chat")
        await carol.post("/v1/messages", to=["bob"], subject="secret", body="For Bob alone.")
        await bob.post("/v1/messages", to=["alice"], subject="open", body="For Alice.")
        await alice.post("/v1/messages", to=["carol"], subject="own", body="From Alice.")
        await mesh.post("/v1/tokens", role="observer")
        await bob.post("/v1/events", type="chat.message")
        await receiver.arrived(3)
        await owners.arrived(4)
    assert [event["data"].get("subject") for event in receiver.events] == ["open", "own", None]
    assert [event["data"].get("subject") for event in owners.events] == ["secret", "open", "own", None]


async def test_a_test_arrives_at_its_webhook_alone(mesh: Mesh, receiver: Receiver) -> None:
    await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "task", agent="alice")
    async with receiving() as other:
        await subscribe(mesh, other.url, "chat", "webhook")
        made = await mesh.post(f"/v1/webhooks/{webhook['id']}/test")
        (got,) = await receiver.arrived(1)
        assert (got.event["id"], got.event["type"]) == (made["event_id"], "repomesh.webhook.tested")
        (found,) = await deliveries(mesh, webhook, event_id=made["event_id"])
        assert found["type"] == "webhook.tested"
        await mesh.patch(f"/v1/webhooks/{webhook['id']}", status="paused")
        await other.arrived(1)
        assert other.types == ["repomesh.webhook.updated"]
    with pytest.raises(Refused) as refused:
        await mesh.post(f"/v1/webhooks/{webhook['id']}/test")
    assert refused.value.code == "webhook_not_active"


# -- what goes wrong -------------------------------------------------------------------------------


async def test_what_failed_is_tried_again_under_the_same_id(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(500, body=b"out of \x1b[31morder\0")]
    await alice.post("/v1/events", type="chat.message")
    (failed,) = await settled(mesh, webhook, ("waiting", 1))
    assert (failed["last_status"], failed["last_error"]) == (500, "answered 500")
    assert failed["next_at"] > failed["last_at"]
    assert (await detail(mesh, webhook))["failing_since"] is not None
    later(mesh, limits.WEBHOOK_RETRIES_S[0] * (1 + limits.WEBHOOK_JITTER))
    await settled(mesh, webhook, ("delivered", 2))
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert (await detail(mesh, webhook))["failing_since"] is None


async def test_one_event_that_fails_holds_up_no_other(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(500)]
    for _ in range(3):
        await alice.post("/v1/events", type="chat.message")
    await settled(mesh, webhook, ("waiting", 1), ("delivered", 1), ("delivered", 1))


async def exhausted(mesh: Mesh, webhook: dict[str, Any]) -> dict[str, Any]:
    """Let every attempt at the one delivery fail; the dead letter."""
    for number, wait_s in enumerate(limits.WEBHOOK_RETRIES_S, 1):
        await settled(mesh, webhook, ("waiting", number))
        later(mesh, wait_s * (1 + limits.WEBHOOK_JITTER))
    (dead,) = await settled(mesh, webhook, ("dead", len(limits.WEBHOOK_RETRIES_S) + 1))
    return dead


async def test_after_the_last_attempt_it_is_a_dead_letter_that_can_be_replayed(
    mesh: Mesh, receiver: Receiver
) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat", "webhook.dead_lettered")
    receiver.usual = Answer(500)
    await alice.post("/v1/events", type="chat.message")
    dead = await exhausted(mesh, webhook)
    (told,) = await mesh.events(type="webhook.dead_lettered")
    assert told["data"] == {"webhook_id": webhook["id"], "count": 1, "delivery_ids": [dead["id"]]}
    assert await alice.get("/v1/events", type="webhook") == await alice.get("/v1/events", type="nothing")
    assert (await detail(mesh, webhook))["dead"] == 1
    receiver.usual = Answer()
    replayed = await mesh.post(f"/v1/webhooks/{webhook['id']}/replay", delivery_id=dead["id"])
    assert replayed == {"webhook_id": webhook["id"], "count": 1, "complete": True}
    (done,) = await settled(mesh, webhook, ("delivered", 1))
    assert done["id"] == dead["id"]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    with pytest.raises(Refused) as refused:
        await mesh.post(f"/v1/webhooks/{webhook['id']}/replay", delivery_id=dead["id"])
    assert refused.value.code == "not_a_dead_letter"


async def test_dead_letters_since_a_time_are_replayed_in_bounded_pieces(
    mesh: Mesh, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repomesh.domains.webhooks.deliveries.WEBHOOK_REPLAYED_MAX", 2)
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    for number in range(4):
        receiver.usual = Answer(410)
        await alice.post("/v1/events", type="chat.message", data={"number": number})
        await eventually(lambda count=number + 1: len(receiver.got) == count)  # type: ignore[misc]
        await settled(mesh, webhook, *[("dead", 1)] * (number + 1))
        mesh.clock.advance(1.0)
        receiver.usual = Answer()
        await mesh.patch(f"/v1/webhooks/{webhook['id']}", status="active")
    path = f"/v1/webhooks/{webhook['id']}/replay"
    since = (await deliveries(mesh, webhook))[1]["created_at"]
    receiver.got.clear()
    assert (await mesh.post(path, since=since))["complete"] is False
    await settled(mesh, webhook, ("dead", 1), ("delivered", 1), ("delivered", 1), ("dead", 1))
    last = await mesh.post(path, since=since)
    assert (last["count"], last["complete"]) == (1, True)
    await receiver.arrived(3)
    assert [event["data"]["number"] for event in receiver.events] == [1, 2, 3]


async def test_gone_disables_the_webhook_and_says_so(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(410)]
    await alice.post("/v1/events", type="chat.message")
    await settled(mesh, webhook, ("dead", 1))
    (told,) = await mesh.events(type="webhook.disabled")
    assert told["data"]["webhook"]["reason"] == "the receiver answered 410 Gone"
    await alice.post("/v1/events", type="chat.message")
    assert (await detail(mesh, webhook))["status"] == "disabled"
    await mesh.patch(f"/v1/webhooks/{webhook['id']}", status="active")
    await settled(mesh, webhook, ("dead", 1), ("delivered", 1))
    assert (await detail(mesh, webhook))["reason"] == ""


async def test_a_webhook_that_fails_for_days_is_disabled(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.usual = Answer(500)
    await alice.post("/v1/events", type="chat.message")
    await settled(mesh, webhook, ("waiting", 1))
    later(mesh, limits.WEBHOOK_FAILING_S_MAX - 1)
    await settled(mesh, webhook, ("waiting", 2))
    assert (await detail(mesh, webhook))["status"] == "active"
    later(mesh, limits.WEBHOOK_RETRIES_S[1] * 2)
    await settled(mesh, webhook, ("waiting", 3))
    shown = await detail(mesh, webhook)
    assert (shown["status"], shown["reason"]) == ("disabled", "nothing was delivered for 5 days")
    assert len(await mesh.events(type="webhook.disabled")) == 1


async def test_a_redirect_is_a_failure(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    async with receiving() as elsewhere:
        receiver.answers = [Answer(307, {"Location": elsewhere.url})]
        await alice.post("/v1/events", type="chat.message")
        (failed,) = await settled(mesh, webhook, ("waiting", 1))
        assert failed["last_error"] == "answered 307, and redirects are not followed"
        assert elsewhere.got == []


@pytest.mark.parametrize("how", ["seconds", "date"])
async def test_a_receiver_that_asks_for_a_pause_gets_it(mesh: Mesh, receiver: Receiver, how: str) -> None:
    pause = format_datetime(mesh.clock() + timedelta(seconds=7200), usegmt=True) if how == "date" else "7200"
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(429, {"Retry-After": pause})]
    await alice.post("/v1/events", type="chat.message")
    await settled(mesh, webhook, ("waiting", 1))
    await alice.post("/v1/events", type="chat.message")
    later(mesh, 7190.0)
    await mesh.server.webhooks._pass()
    assert (len(receiver.got), len(await deliveries(mesh, webhook))) == (1, 1)
    later(mesh, 20.0)
    await settled(mesh, webhook, ("delivered", 2), ("delivered", 1))


async def test_a_receiver_that_is_not_there_gets_a_rest(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        webhook = await subscribe(mesh, url, "chat")
        path = f"/v1/webhooks/{webhook['id']}"
        await mesh.patch(path, status="paused")  # so that all are due at once
        for _ in range(3):
            await alice.post("/v1/events", type="chat.message")
        await mesh.patch(path, status="active")
        await eventually(lambda: mesh.server.metrics.webhook_attempts.labels("failed")._value.get() == 1)
        await mesh.server.webhooks._pass()
        found = await settled(mesh, webhook, ("waiting", 1), *[("waiting", 0)] * 2)
        assert found[0]["last_error"].startswith("no answer")
        await mesh.patch(path, url=receiver.url)  # which needs no rest
    await settled(mesh, webhook, ("waiting", 1), ("delivered", 1), ("delivered", 1))
    later(mesh, limits.WEBHOOK_RETRIES_S[0] * 2)
    await settled(mesh, webhook, ("delivered", 2), ("delivered", 1), ("delivered", 1))


async def test_a_slow_receiver_holds_up_nobody_else(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    async with receiving() as slow:
        slow.gate.clear()
        await subscribe(mesh, slow.url, "chat")
        await subscribe(mesh, receiver.url, "chat")
        for _ in range(5):
            await alice.post("/v1/events", type="chat.message")
        await slow.arrived(1)
        await receiver.arrived(5)
        assert len(slow.got) == 1


async def test_only_the_beginning_of_an_answer_is_kept(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.usual = Answer(200, body=b"x" * 1_000_000)
    for _ in range(2):
        await alice.post("/v1/events", type="chat.message")
    found = await settled(mesh, webhook, ("delivered", 1), ("delivered", 1))
    assert found[0]["response"] == "x" * limits.WEBHOOK_EXCERPT_CHARS_MAX


@pytest.mark.parametrize("how", ["stays open", "breaks off"])
async def test_the_status_is_the_answer_whatever_becomes_of_the_body(
    mesh: Mesh, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_RESPONSE_S", 0.2)
    receiver.answers = [Answer(200, body=b"tha", missing=3, breaks_off=how == "breaks off")]
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    for _ in range(2):
        await alice.post("/v1/events", type="chat")
    first, _ = await settled(mesh, webhook, ("delivered", 1), ("delivered", 1))
    assert (first["last_status"], first["last_error"], first["response"]) == (200, None, "tha")
    assert [got.headers["webhook-id"] for got in receiver.got] == [
        one["event_id"] for one in await deliveries(mesh, webhook)
    ]


async def test_of_an_answer_that_comes_in_tiny_pieces_few_are_read() -> None:
    read: list[bytes] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(b"x")
            yield b"x"

    response = httpcore.Response(200, content=endless())
    assert await webhook_sender._read_excerpt(response) == "x" * limits.WEBHOOK_RESPONSE_PIECES_MAX
    assert len(read) == limits.WEBHOOK_RESPONSE_PIECES_MAX


async def test_a_failure_is_a_failure_even_where_its_body_never_ends(
    mesh: Mesh, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_RESPONSE_S", 0.2)
    receiver.answers = [Answer(500, missing=3)]
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    await alice.post("/v1/events", type="chat")
    (failed,) = await settled(mesh, webhook, ("waiting", 1))
    assert (failed["last_status"], failed["last_error"]) == (500, "answered 500")


async def test_what_was_deleted_before_it_was_sent_is_sent_without_its_words(
    mesh: Mesh, receiver: Receiver
) -> None:
    await subscribe(mesh, receiver.url, "memory")
    receiver.answers = [Answer(500)]
    await mesh.post("/v1/sessions", session_id="plan")
    await mesh.post("/v1/memories", session_id="plan", key="k", content="zeppelin")
    await receiver.arrived(1)
    await mesh.delete("/v1/sessions/plan")
    later(mesh, 10.0)
    first, second = await receiver.arrived(2)
    assert b"zeppelin" in first.body
    assert second.event["data"]["redacted"] is True
    assert second.headers["webhook-id"] == first.headers["webhook-id"]


async def test_an_attempt_ends_in_time(
    mesh: Mesh, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_TIMEOUT_S", 0.2)
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.gate.clear()
    await alice.post("/v1/events", type="chat.message")
    (failed,) = await settled(mesh, webhook, ("waiting", 1))
    assert failed["last_error"].startswith("no answer within")


# -- pausing, changing, ending ---------------------------------------------------------------------


async def test_events_wait_while_it_is_paused(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    path = f"/v1/webhooks/{webhook['id']}"
    paused = await mesh.patch(path, status="paused", reason="They move.")
    assert (paused["status"], paused["reason"], paused["version"]) == ("paused", "They move.", 2)
    for number in range(3):
        await alice.post("/v1/events", type="chat.message", data={"number": number})
    await mesh.server.webhooks._pass()
    assert receiver.got == []
    await mesh.patch(path, status="active")
    await receiver.arrived(3)
    assert [event["data"]["number"] for event in receiver.events] == [0, 1, 2]
    await mesh.patch(path, status="paused")
    await alice.post("/v1/events", type="chat.message", data={"number": 3})
    await mesh.patch(path, status="active", skip_missed=True)
    await alice.post("/v1/events", type="chat.message", data={"number": 4})
    await receiver.arrived(4)
    assert [event["data"]["number"] for event in receiver.events] == [0, 1, 2, 4]


async def test_skipping_makes_dead_letters_of_what_waited(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(500)]
    await alice.post("/v1/events", type="chat.message")
    await settled(mesh, webhook, ("waiting", 1))
    path = f"/v1/webhooks/{webhook['id']}"
    await mesh.patch(path, status="paused")
    await mesh.patch(path, status="active", skip_missed=True)
    (dead,) = await settled(mesh, webhook, ("dead", 1))
    assert dead["last_error"] == "skipped when the webhook was resumed"


async def test_a_change_takes_the_version_that_it_was_made_for(mesh: Mesh, receiver: Receiver) -> None:
    webhook = await subscribe(mesh, receiver.url, "chat")
    path = f"/v1/webhooks/{webhook['id']}"
    await mesh.patch(path, {"If-Match": '"1"'}, types=["task"])
    with pytest.raises(Refused) as refused:
        await mesh.patch(path, {"If-Match": '"1"'}, types=["message"])
    assert (refused.value.status, refused.value.code) == (412, "stale_version")
    before = len(await mesh.events(type="webhook.updated"))
    await mesh.patch(path, types=["task"])
    assert len(await mesh.events(type="webhook.updated")) == before


async def test_a_rotated_secret_signs_for_a_day(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    rotated = await mesh.post(f"/v1/webhooks/{webhook['id']}/rotate-secret")
    await alice.post("/v1/events", type="chat.message")
    (got,) = await receiver.arrived(1)
    for secret in (webhook["secret"], rotated["secret"]):
        assert got.verified(secret)["type"] == "repomesh.chat.message"
    await settled(mesh, webhook, ("delivered", 1))
    mesh.clock.advance(limits.WEBHOOK_OLD_SECRET_S + 1)
    await alice.post("/v1/events", type="chat.message")
    _, later_one = await receiver.arrived(2)
    assert len(later_one.headers["webhook-signature"].split()) == 1
    with pytest.raises(WebhookVerificationError):
        later_one.verified(webhook["secret"])


async def test_the_secret_is_told_once(mesh: Mesh, receiver: Receiver) -> None:
    key = {"Idempotency-Key": "k1"}
    made = await mesh.request("POST", "/v1/webhooks", json={"url": receiver.url}, headers=key)
    again = await mesh.request("POST", "/v1/webhooks", json={"url": receiver.url}, headers=key)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == made.json()
    secret = made.json()["secret"]
    webhook = made.json()["webhook"]
    told = [await mesh.get("/v1/webhooks"), await detail(mesh, webhook), await mesh.events()]
    assert secret not in str(told)
    records = mesh.server.store.read_now(
        system_caller(""),
        lambda tx: str(tx.connection.exec_driver_sql("SELECT result FROM idempotency_records").all()),
    )
    assert secret not in records


async def test_a_deleted_webhook_sends_nothing_and_is_forgotten(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(500)]
    await alice.post("/v1/events", type="chat.message")
    await settled(mesh, webhook, ("waiting", 1))
    await mesh.delete(f"/v1/webhooks/{webhook['id']}")
    later(mesh, 60.0)
    await alice.post("/v1/events", type="chat.message")
    await mesh.server.webhooks._pass()
    assert len(receiver.got) == 1
    assert (await mesh.get("/v1/webhooks"))["items"] == []
    with pytest.raises(Refused) as refused:
        await detail(mesh, webhook)
    assert refused.value.code == "webhook_not_found"
    await mesh.sweep()
    assert _rows(mesh) == (0, 0)


def _rows(mesh: Mesh) -> tuple[int, int]:
    def count(tx: Any) -> tuple[int, int]:
        tables = ("webhooks", "webhook_deliveries")
        one, two = (tx.connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() for name in tables)
        return one, two

    return mesh.server.store.read_now(system_caller(""), count)


async def test_old_deliveries_are_forgotten_dead_letters_later(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(), Answer(410)]
    for count in (1, 2):
        await alice.post("/v1/events", type="chat.message")
        await receiver.arrived(count)
    await settled(mesh, webhook, ("delivered", 1), ("dead", 1))
    mesh.clock.advance(limits.WEBHOOK_KEPT_S + 1)
    await mesh.sweep()
    assert [one["status"] for one in await deliveries(mesh, webhook)] == ["dead"]
    mesh.clock.advance(limits.WEBHOOK_DEAD_KEPT_S)
    await mesh.sweep()
    assert await deliveries(mesh, webhook) == []


async def test_a_retired_agents_webhook_is_disabled(mesh: Mesh, receiver: Receiver) -> None:
    await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, agent="alice")
    paused = await subscribe(mesh, receiver.url, agent="alice")
    await mesh.patch(f"/v1/webhooks/{paused['id']}", status="paused")
    await mesh.post("/v1/agents/alice/retire")
    assert (await detail(mesh, webhook))["status"] == "disabled"
    for one in (webhook, paused):
        with pytest.raises(Refused) as refused:
            await mesh.patch(f"/v1/webhooks/{one['id']}", status="active")
        assert refused.value.code == "agent_retired"
    await mesh.agent("alice")
    assert (await mesh.patch(f"/v1/webhooks/{webhook['id']}", status="active"))["status"] == "active"


# -- bounds ----------------------------------------------------------------------------------------


async def test_a_workspace_has_so_many_webhooks_and_no_more(mesh: Mesh) -> None:
    url = "http://127.0.0.1:9/"
    made = [await subscribe(mesh, url, "nothing") for _ in range(limits.WEBHOOKS_MAX)]
    with pytest.raises(Refused) as refused:
        await subscribe(mesh, url, "nothing")
    assert refused.value.code == "too_many_webhooks"
    await mesh.delete(f"/v1/webhooks/{made[0]['id']}")
    await subscribe(mesh, url, "nothing")


async def test_events_wait_in_the_log_while_too_many_deliveries_wait(
    mesh: Mesh, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_WAITING_MAX", 2)
    monkeypatch.setattr(limits, "WEBHOOK_PLANNED_MAX", 1)
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(500)] * 2
    for number in range(4):
        await alice.post("/v1/events", type="chat.message", data={"number": number})
    await settled(mesh, webhook, ("waiting", 1), ("waiting", 1))
    later(mesh, limits.WEBHOOK_RETRIES_S[0] * 2)
    await settled(mesh, webhook, *[("delivered", 2)] * 2, *[("delivered", 1)] * 2)


async def test_events_that_were_archived_meanwhile_are_told_of(mesh: Mesh, receiver: Receiver) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    path = f"/v1/webhooks/{webhook['id']}"
    await mesh.patch(path, status="paused")
    for number in range(3):
        posted = await alice.post("/v1/events", type="chat.message", data={"number": number})
    await mesh.post("/v1/log/prune", before=posted["seq"])
    await mesh.patch(path, status="active")
    await receiver.arrived(1)
    assert [event["data"]["number"] for event in receiver.events] == [2]
    (missed,) = await mesh.events(type="webhook.missed")
    assert (missed["data"]["oldest_seq"], missed["severity"]) == (posted["seq"], "error")


async def test_two_servers_on_one_database_send_once(
    mesh: Mesh, settings: Settings, engine: str, receiver: Receiver
) -> None:
    if engine == "sqlite":
        pytest.skip("one process serves a data folder")
    alice = await mesh.agent("alice")
    await subscribe(mesh, receiver.url, "chat")
    other = Server(settings, mesh.clock)
    async with other.running():
        for _ in range(100):
            await alice.post("/v1/events", type="chat.message")
            other.webhooks.wake()
        await receiver.arrived(100)
    ids = [got.headers["webhook-id"] for got in receiver.got]
    assert len(ids) == len(set(ids)) == 100


async def test_what_a_server_had_not_sent_the_next_one_sends(
    mesh: Mesh, settings: Settings, receiver: Receiver
) -> None:
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.answers = [Answer(500)]
    receiver.gate.clear()
    for _ in range(5):
        await alice.post("/v1/events", type="chat.message")
    await receiver.arrived(1)
    await mesh.server.webhooks.stop()  # in the middle of an attempt
    receiver.gate.set()
    found = await deliveries(mesh, webhook)
    assert {(one["status"], one["attempts"]) for one in found} <= {("waiting", 0)}
    next_server = Server(settings, mesh.clock) if settings.database_url else mesh.server
    next_server.webhooks.start()
    later(mesh, limits.WEBHOOK_RETRIES_S[0] * 2)

    async def all_delivered() -> bool:
        return len(await deliveries(mesh, webhook, status="delivered")) == 5

    await eventually(all_delivered)
    if next_server is not mesh.server:
        await next_server.webhooks.stop()
        next_server.store.close()


async def test_pausing_ends_what_is_under_way(
    mesh: Mesh, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_SETTLE_EVERY_S", 0.0)
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    path = f"/v1/webhooks/{webhook['id']}"
    await mesh.patch(path, status="paused")
    for _ in range(5):
        await alice.post("/v1/events", type="chat.message")
    receiver.gate.clear()
    await mesh.patch(path, status="active")
    await receiver.arrived(1)
    await mesh.patch(path, status="paused")
    receiver.gate.set()
    await settled(mesh, webhook, ("delivered", 1), *[("waiting", 0)] * 4)
    assert len(receiver.got) == 1


async def test_what_a_claim_was_lost_for_is_written_down_once(mesh: Mesh, receiver: Receiver) -> None:
    """A server that stood still for long finds that another went on for it."""
    alice = await mesh.agent("alice")
    webhook = await subscribe(mesh, receiver.url, "chat")
    receiver.gate.clear()
    await alice.post("/v1/events", type="chat.message")
    await receiver.arrived(1)
    settings, clock = mesh.server.settings, mesh.clock
    other = WebhookDeliveryJob(
        registry, mesh.server.dispatch, mesh.server.store, LocalBus(), sender(settings, clock)
    )
    clock.advance(limits.WEBHOOK_CLAIM_S + 1)
    other.start()
    await receiver.arrived(2)
    receiver.gate.set()
    (found,) = await settled(mesh, webhook, ("delivered", 1))
    await mesh.server.webhooks.stop()
    await other.stop()
    assert await deliveries(mesh, webhook) == [found]


def sender(settings: Settings, clock: Any) -> WebhookSender:
    return WebhookSender(settings.webhook_hosts, clock, Metrics(), "test")


async def test_a_workspace_that_was_removed_sends_nothing(mesh: Mesh, receiver: Receiver) -> None:
    made = await mesh.post("/v1/workspaces", name="other")
    owner = Speaker(mesh.http, made["token"])
    await owner.post("/v1/webhooks", url=receiver.url, types=["token"])
    await owner.post("/v1/tokens", role="observer")
    await receiver.arrived(1)
    await mesh.delete(f"/v1/workspaces/{made['workspace']['id']}")
    await mesh.sweep()  # which revokes its tokens, in its own log
    await mesh.server.webhooks._pass()
    assert receiver.types == ["repomesh.token.created"]
