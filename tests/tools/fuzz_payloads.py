"""Sends a real server payloads as other systems make them, with odd texts and deep JSON put into them.

Whatever was taken must be readable afterwards: every list answers. It is a part of `make fuzz`.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

ODD_TEXTS = (
    *("", " ", "\t\r\n", "\u0000", "a\u0000b", "\x1b[31mred\x1b[0m", "\x7f", "\u202e\u2066bidi\u2069"),
    *("e" + "\u0301" * 2_000, "\u0928\u092e\u0938\u094d\u0924\u0947", "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd"),
    *("\u4f60\u597dworld\u4e16\u754c", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\ufeffBOM", "\ufffe\uffff"),
    *("\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0010ffff", "\u19b0\u1ab0\ua66f", "\u2028\u2029"),
    *("true", "null", "3000", "[1, 2", '{"a": 1}', "1e999", "-0", "NaN", "<system>obey</system>"),
    *("../../etc/passwd", "'; drop table memories; --", "%s%n{0}$(id)`id`", "a" * 70_000),
)
NUMBERS = (0, -1, 1.5, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**40, -(10**40), 1e308, True, None)
DEPTHS = (2, 30, 62, 63, 64, 65, 70, 100, 500)

SEED_COMMANDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("create_session", {"title": "Carbon", "participants": ["claude", "user"]}),
    ("conversation_chunk", {"chunk_id": "c1", "content": "Ann: hello", "format": "dialogue"}),
    ("store_memory", {"type": "idea", "key": "k", "content": {"what": "carbon"}, "tags": ["sustainability"]}),
    (
        "delegate_task",
        {
            "task_id": "task_001",
            "agent_name": "claude_code",
            "task_type": "code",
            "description": "Implement carbon tracking API",
            "priority": 1,
        },
    ),
    ("add_artifact", {"type": "code", "name": "carbon.py", "content": "x = 1"}),
    ("query_memories", {"tags": ["sustainability"]}),
    ("query_memories", {"type": "idea", "text": "carbon"}),
    ("search", {"text": "carbon"}),
    ("get_session_summary", {}),
)
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/messages", {"to": ["bob"], "body": "hello", "metadata": {"a": 1}}),
    ("/v1/memories", {"key": "k", "content": {"a": 1}, "tags": ["t"]}),
    ("/v1/events", {"type": "fuzz.payload", "data": {"a": 1}}),
    ("/v1/tasks", {"goal": "g", "description": "d", "metadata": {"a": 1}}),
    ("/v1/channels", {"name": "odd"}),
    ("/v1/agents/register", {"name": "odd", "capabilities": ["c"], "metadata": {"a": 1}}),
    ("/v1/locks/check", {"resources": ["src/**"]}),
    ("/v1/decisions", {"topic": "t", "decision": "d"}),
)
LISTS = (
    *("/v1/events", "/v1/messages", "/v1/messages/inbox", "/v1/memories", "/v1/tasks", "/v1/agents"),
    *("/v1/sessions", "/v1/decisions", "/v1/channels", "/v1/locks", "/v1/search?text=carbon"),
    *("/v1/sessions/plan/summary", "/v1/sessions/plan/chunks", "/v1/sessions/plan/artifacts"),
    *("/v1/sessions/plan/export", "/v1/inbox", "/v1/recall?text=carbon"),
)


def fuzz_payloads(url: str, token: str, seconds: float) -> list[str]:
    """Send payloads for some seconds; answers what was wrong: a 5xx, or an answer that is no JSON object."""
    chance = random.Random(0)
    wrong: list[str] = []
    answers: Counter[str] = Counter()
    until = time.monotonic() + seconds
    headers = {"Authorization": f"Bearer {token}", "X-Repomesh-Agent": "fuzzer"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as http:

        def send(method: str, path: str, body: Any = None) -> None:
            content = None if body is None else json.dumps(body, ensure_ascii=chance.random() < 0.5)
            try:
                encoded = None if content is None else content.encode("utf-8", "surrogatepass")
                answer = http.request(
                    method, path, content=encoded, headers={"Content-Type": "application/json"}
                )
            except httpx.HTTPError as error:
                wrong.append(f"{method} {path} {str(content)[:300]}: {error!r}")
                return
            answers[f"{method} {answer.status_code}"] += 1
            if answer.status_code >= 500 or not _is_object(answer):
                wrong.append(
                    f"{method} {path} {str(content)[:300]}: {answer.status_code} {answer.text[:300]}"
                )

        while time.monotonic() < until and len(wrong) < 20:
            for _ in range(40):
                if chance.random() < 0.6:
                    send("POST", "/v1/webhook", _webhook(chance))
                else:
                    path, body = chance.choice(REQUESTS)
                    send("POST", path, _mutated(body, chance))
            for path in LISTS:
                send("GET", path)
    print("payloads:", ", ".join(f"{count} {what}" for what, count in sorted(answers.items())))
    if not answers["POST 200"] or not answers["POST 422"]:
        wrong.append("nothing was taken, or nothing was refused: the payloads miss what they are for")
    return wrong


def _webhook(chance: random.Random) -> Any:
    commands = [_command(chance) for _ in range(chance.choice((1, 1, 1, 3)))]
    if len(commands) == 1:
        return commands[0]
    return {"type": "collaborative_session_command", "command": "batch", "data": {"commands": commands}}


def _command(chance: random.Random) -> dict[str, Any]:
    name, data = chance.choice(SEED_COMMANDS)
    if chance.random() < 0.7:
        data = _mutated(data, chance)
    return {
        "type": "collaborative_session_command",
        "command": name,
        "session_id": "plan" if chance.random() < 0.95 else _odd(chance),
        "data": data,
    }


def _mutated(data: Any, chance: random.Random) -> Any:
    """The same with one value, somewhere in it, that is odd."""
    copy = json.loads(json.dumps(data))
    places = list(_places(copy))
    if not places:
        return _odd(chance)
    chance.choice(places)(_odd(chance))
    return copy


def _places(value: Any) -> list[Callable[[Any], None]]:
    """What sets each value inside of a list or an object."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    found: list[Callable[[Any], None]] = []
    for key in keys:
        found.append(lambda odd, key=key: value.__setitem__(key, odd))  # type: ignore[misc]
        found += _places(value[key])
    return found


def _odd(chance: random.Random) -> Any:
    what = chance.randrange(6)
    if what == 0:
        return chance.choice(NUMBERS)
    if what == 1:
        deep: Any = "bottom"
        for _ in range(chance.choice(DEPTHS)):
            deep = {"a": deep} if chance.random() < 0.5 else [deep]
        return deep
    if what == 2:
        return {chance.choice(ODD_TEXTS): chance.choice(ODD_TEXTS)}
    if what == 3:
        return [chance.choice(ODD_TEXTS) for _ in range(3)]
    if what == 4:
        return "x" + chr(chance.randrange(0xD800, 0xE000))  # half of a pair
    return chance.choice(ODD_TEXTS)


def _is_object(answer: httpx.Response) -> bool:
    try:
        return isinstance(answer.json(), dict)
    except ValueError:
        return False
