"""How results look to people: which columns a list has, what one thing shows first."""

from __future__ import annotations

from typing import Any

from repomesh.cli import output
from repomesh.client.catalogue import Described

COLUMNS: dict[str, tuple[str, ...]] = {
    "Agent": ("name", "type", "status", "program", "capabilities", "status_text", "last_seen_at"),
    "Token": ("id", "role", "label", "created_at"),
    "Workspace": ("name", "id", "home", "path"),
}
"""The columns of a list, by what is on it."""


def result(described: Described, value: Any, *, as_json: bool) -> None:
    """Print what an operation answered."""
    if as_json:
        output.print_json(value)
    elif isinstance(value, dict) and isinstance(value.get("items"), list):
        _list(described.item, value)
    elif isinstance(value, dict):
        output.print_object(_flat(value))
    else:
        output.say(output.cell(value))


def without_secret(value: Any) -> Any:
    """An answer whose token is not shown, so that it ends in no transcript."""
    if isinstance(value, dict) and value.get("token"):
        return value | {"token": "(not shown; ask for it with --show-token)"}
    return value


def _list(item: str, page: dict[str, Any]) -> None:
    items = page["items"]
    if not items:
        output.note("nothing")
        return
    columns = COLUMNS.get(item) or _scalars(items[0])
    output.print_table(items, columns)
    if page.get("omitted"):
        output.note(str(page["omitted"]))
    if page.get("next_cursor"):
        output.note(f"there is more: --cursor {page['next_cursor']}")


def _scalars(item: dict[str, Any]) -> tuple[str, ...]:
    """Columns for what has none of its own: the short fields."""
    short = [name for name, value in item.items() if not isinstance(value, list | dict)]
    return tuple(name for name in short if not (name.endswith("_id") or name == "version"))[:8]


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    """An answer that wraps one thing is shown as that thing and what stands beside it."""
    inner = [name for name, item in value.items() if isinstance(item, dict) and "id" in item]
    if len(inner) != 1:
        return value
    beside = {name: item for name, item in value.items() if name != inner[0]}
    return {**value[inner[0]], **beside}
