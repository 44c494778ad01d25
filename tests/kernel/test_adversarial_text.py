"""Texts that make naive algorithms slow, in every text field of every operation: counts steps, not time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import repomesh
from examples import EXAMPLES, World
from harness import Mesh
from repomesh.kernel import unicode_text
from repomesh.kernel.limits import NORMALIZED_AT_ONCE_CHARS
from repomesh.operations import registry

SIZE = 20_000
CORPUS = {
    "marks of two classes": "a" + "\u0301\u0323" * (SIZE // 2),
    "letters that are all marks": "a" + "\u0f73" * SIZE,
    "one unending word": "é" * SIZE,
}


def fields_of(payload: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the texts of a payload stand."""
    if isinstance(payload, str):
        yield path
    elif isinstance(payload, dict | list | tuple):
        items = payload.items() if isinstance(payload, dict) else enumerate(payload)
        for key, value in items:
            yield from fields_of(value, (*path, key))


def replaced(payload: Any, path: tuple[Any, ...], text: str) -> Any:
    if not path:
        return text
    if isinstance(payload, dict):
        return payload | {path[0]: replaced(payload[path[0]], path[1:], text)}
    return [replaced(item, path[1:], text) if at == path[0] else item for at, item in enumerate(payload)]


@pytest.mark.anyio
@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("attack", CORPUS)
async def test_no_text_field_normalizes_more_than_the_limit_at_once(
    mesh: Mesh, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0
    real = unicodedata.normalize

    def counting(form: unicode_text.Form, text: str) -> str:
        nonlocal longest
        longest = max(longest, len(text))
        return real(form, text)

    monkeypatch.setattr(unicode_text.unicodedata, "normalize", counting)
    world = await World.of(mesh)
    for operation in registry:
        if operation.http is None or operation.name not in EXAMPLES or not operation.http.has_body:
            continue
        payload = await EXAMPLES[operation.name](world)
        for path in fields_of(payload):
            if path[0] in operation.http.path_fields:
                continue
            attacked = replaced(payload, path, CORPUS[attack])
            body = {name: value for name, value in attacked.items() if name not in operation.http.path_fields}
            url = operation.http.path.format(**payload)
            answer = await world.alice.request(operation.http.method, url, json=body)
            assert answer.status_code < 500, (operation.name, path)
    await mesh.get("/v1/search", text=CORPUS[attack][:200])
    assert longest <= NORMALIZED_AT_ONCE_CHARS


def test_texts_are_normalized_in_one_place() -> None:
    source = Path(repomesh.__file__).parent
    users = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"unicodedata\.normalize\(|import normalize\b.*unicodedata", path.read_text())
    }
    assert users == {"kernel/unicode_text.py"}
