"""Webhooks at the prompt: their secret is shown when asked for, and a refusal says what to do."""

from __future__ import annotations

from cli.running import Shell, running, shell

__all__ = ["running", "shell"]

URL = "https://1.1.1.1/hook"  # nothing is sent there: no event is of the type subscribed to


def test_the_secret_is_shown_when_asked_for(running: Shell) -> None:
    made = running.ok("webhook", "subscribe", URL, "--types", "nothing", "--types", "nobody.*")
    assert made["secret"] == "(not shown; ask for it with --show-secret)"
    assert made["webhook"]["types"] == ["nothing", "nobody.*"]
    path = ("webhook", "rotate-secret", made["webhook"]["id"])
    assert (running(*path).code, "--show-secret" in running(*path).err) == (2, True)
    assert running.ok(*path, "--show-secret")["secret"].startswith("whsec_")
    by_name = ("api", "webhook.rotate_secret", f"webhook_id={made['webhook']['id']}")
    assert "whsec_" not in running(*by_name).out
    assert "whsec_" in running(*by_name, "--show-secret").out
    assert [one["url"] for one in running.ok("webhook", "list")["items"]] == [URL]
    paused = running.ok("webhook", "update", made["webhook"]["id"], "--status", "paused", "--reason", "moves")
    assert (paused["status"], paused["reason"]) == ("paused", "moves")
    assert running.ok("webhook", "replay", made["webhook"]["id"], "--since", "2h")["count"] == 0
    assert running.ok("webhook", "delete", made["webhook"]["id"])["webhook_id"] == made["webhook"]["id"]


def test_a_receiver_inside_is_refused_with_a_hint(running: Shell) -> None:
    done = running("webhook", "subscribe", "http://127.0.0.1:9/")
    assert done.code == 2
    assert "127.0.0.1 is not a public address" in done.err
    assert "REPOMESH_WEBHOOK_HOSTS" in done.err
