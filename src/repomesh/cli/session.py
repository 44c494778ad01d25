"""`repomesh session`, also `session-cli`: searches, deletes, exports and imports sessions."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TextIO, TypeVar

import typer

from repomesh.cli import completing, output, session_files, session_import, show
from repomesh.cli.generic import noun_group, split_list
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.client.catalogue import operation
from repomesh.client.errors import RemoteError
from repomesh.kernel.errors import InvalidRequest
from repomesh.views.terminal_text import counted, plural

if TYPE_CHECKING:
    from repomesh.client.client import Client

T = TypeVar("T")

app = noun_group("session", "Shared memory: create, search, export.")

_Session = Annotated[
    str,
    typer.Argument(
        metavar="SESSION_ID",
        help="Id of the session.",
        show_default=False,
        autocompletion=completing.completer("session"),
    ),
]
_SINGULAR: Final = {"memories": "memory"}
_Query = Annotated[list[str], typer.Argument(metavar="QUERY", help="Words that must all occur.")]
_Limit = Annotated[int, typer.Option(help="Items a page.")]
_Within = Annotated[
    str | None, typer.Option("--session", "--session-id", help="Only of this session.", show_default=False)
]
_Cursor = Annotated[str | None, typer.Option(help="'next_cursor' of the page before.", show_default=False)]
_OfSession = Annotated[
    str | None,
    typer.Argument(
        metavar="SESSION_ID",
        help="Id of the session; all when left out.",
        show_default=False,
        autocompletion=completing.completer("session"),
    ),
]
_Tags = Annotated[list[str] | None, typer.Option("--tags", help="With these tags, commas between.")]


@app.command()
def delete(
    session_id: _Session,
    *,
    reason: Annotated[str, typer.Option("--reason", "--note", help="Why; it stands in the log.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Delete a session with everything in it, after you confirm."""
    if not yes:
        session = _run(
            lambda client: client.call_json("session.show", {"session_id": session_id}), url, acting_agent
        )
        counts = ", ".join(_format_count(count, name) for name, count in session["counts"].items() if count)
        output.confirm(
            f"Delete session '{session_id}'{f' with {counts}' if counts else ''}?", as_json=as_json
        )
    fields = {"session_id": session_id, "reason": reason}
    result = _run(lambda client: _delete(client, fields), url, acting_agent)
    if as_json:
        output.print_json(result)
    else:
        output.print_line(f"session {session_id} deleted")


@app.command("search-conversations")
def search_conversations(
    query: _Query,
    *,
    session: _Within = None,
    limit: _Limit = 20,
    cursor: _Cursor = None,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Search the conversations of sessions."""
    fields = {"text": " ".join(query), "what": ["chunk"], "session_id": session, "limit": limit}
    fields["cursor"] = cursor
    _list("search.find", fields, as_json, url, acting_agent)


@app.command("search-memories")
def search_memories(
    query: _Query,
    *,
    session: _Within = None,
    type_: Annotated[str | None, typer.Option("--type", help="Such as decision.", show_default=False)] = None,
    tags: _Tags = None,
    limit: _Limit = 20,
    cursor: _Cursor = None,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Search memories."""
    fields = {"text": " ".join(query), "what": ["memory"], "session_id": session, "type": type_}
    fields["tags"] = [tag for text in tags or [] for tag in split_list(text)]
    _list("search.find", fields | {"limit": limit, "cursor": cursor}, as_json, url, acting_agent)


@app.command("list-tasks")
def list_tasks(
    session_id: _OfSession = None,
    *,
    status: Annotated[str | None, typer.Option(help="Such as open.", show_default=False)] = None,
    agent: Annotated[str | None, typer.Option(help="Held by or meant for it.", show_default=False)] = None,
    limit: _Limit = 50,
    cursor: _Cursor = None,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """List the tasks that were delegated in a session, or in any."""
    fields = {"session_id": session_id, "status": status, "agent": agent, "limit": limit, "cursor": cursor}
    _list("session.tasks", fields, as_json, url, acting_agent)


@app.command("list-artifacts")
def list_artifacts(
    session_id: _OfSession = None,
    *,
    type_: Annotated[str | None, typer.Option("--type", help="Such as code.", show_default=False)] = None,
    limit: _Limit = 50,
    cursor: _Cursor = None,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """List the artifacts of a session, or of all."""
    fields = {"session_id": session_id, "type": type_, "limit": limit, "cursor": cursor}
    _list("artifact.list", fields, as_json, url, acting_agent)


@app.command()
def export(
    session_id: _Session,
    *,
    format_: Annotated[
        Literal["json", "jsonl", "markdown"],
        typer.Option("--format", help="'json': one document; 'jsonl': one thing a line."),
    ] = "json",
    output_: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it to a file.", show_default=False),
    ] = None,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Write a whole session to standard output or to a file, with the contents of its artifacts."""
    write = session_files.WRITERS[format_]()

    async def work(client: Client) -> None:
        prefix = write.head  # written with the first item: a missing session must not leave half a document
        with ExitStack() as stack:
            out: TextIO | None = None
            step = stack.enter_context(
                session_files.progress(sys.stderr, sys.stdout, to_file=output_ is not None)
            )
            async for item in session_files.export_items(client, session_id):
                if out is None:  # a missing session must not create a file
                    out = (
                        sys.stdout
                        if output_ is None
                        else stack.enter_context(output.open_private_file(output_))
                    )
                out.write(prefix + write(item))
                prefix = ""
                step(item)
            (out or sys.stdout).write(write.tail)

    _run(work, url, acting_agent)
    sys.stdout.flush()
    if output_ is not None:
        output.print_note(f"wrote {output_}")


@app.command("import")
def import_(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="As 'export' wrote it, json or jsonl; '-' reads standard input."),
    ],
    *,
    session_id: Annotated[
        str | None,
        typer.Option("--id", "--session-id", help="Another id for the session.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an import of this file that broke off.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Import a session as it was exported, whole or not at all; tasks stay on the board that they came from.

    Order, versions, times and authors' names are those of the export. Only the owner may say who wrote what.
    """

    def work(client: Client) -> Awaitable[dict[str, Any]]:
        return session_import.import_session(client, lines, session_id, resume=resume)

    opened = sys.stdin if file == "-" else Path(file).open(encoding="utf-8")  # noqa: SIM115 - closed below
    with opened as lines:
        result = _run(work, url, acting_agent, writes=True)
    if as_json:
        output.print_json(result)
    else:
        output.print_object(result)


def _list(name: str, fields: dict[str, Any], as_json: bool, url: str | None, agent: str | None) -> None:
    request = {key: value for key, value in fields.items() if value not in (None, [])}
    is_of_session = "{session_id}" in operation(name).path
    if is_of_session and "session_id" not in request:
        answer = _run(lambda client: _list_all_sessions(client, name, request), url, agent)
    else:
        answer = _run(lambda client: client.call_json(name, request), url, agent)
    show.print_result(operation(name), answer, as_json=as_json)


def _format_count(count: int, name: str) -> str:
    """Return a count with its noun: '3 chunks', or '12 bytes of chunks' for 'chunk_bytes'."""
    noun = name.replace("_", " ")
    if noun.endswith("bytes"):
        return f"{counted(count, 'byte')} of {plural(noun.removesuffix('bytes').strip())}"
    return counted(count, _SINGULAR.get(noun, noun.removesuffix("s")))


def _run(
    work: Callable[[Client], Awaitable[T]], url: str | None, agent: str | None, *, writes: bool = False
) -> T:
    return run_with_client(work, url=url, agent=agent, allow_offline=True, writes=writes)


async def _list_all_sessions(client: Client, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Call the listing of each session, newest session first, and join the items up to the limit.

    Raises InvalidRequest for a cursor, which belongs to one session.
    """
    if "cursor" in fields:
        raise InvalidRequest("a cursor goes on in one session", hint="Name the session, too.")
    items: list[Any] = []
    async for session in client.items("session.list", limit=200):
        page = await client.call_json(name, fields | {"session_id": session["id"]})
        items += page["items"]
        if len(items) >= fields["limit"]:
            break
    note = f"there may be more than these {fields['limit']}; raise --limit, or name a session"
    omitted = note if len(items) >= fields["limit"] else None
    return {"items": items[: fields["limit"]], "next_cursor": None, "omitted": omitted}


async def _delete(client: Client, fields: dict[str, Any]) -> dict[str, Any]:
    """Call session.delete until it is done; a session that is gone by then counts as deleted."""
    result: dict[str, Any] = await client.call_json("session.delete", fields)
    while not result["done"]:
        try:
            result = await client.call_json("session.delete", fields)
        except RemoteError as error:
            if error.code != "session_not_found":
                raise
            return result | {"done": True}
    return result
