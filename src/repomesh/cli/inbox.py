"""`repomesh inbox`: shows what needs the person at this terminal, and answers it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import ids, output, terminal_user
from repomesh.cli.failures import CommandLineError
from repomesh.cli.options import AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.kernel.errors import InvalidRequest
from repomesh.views import inbox_view
from repomesh.views.terminal_text import clean

if TYPE_CHECKING:
    from repomesh.client.client import Client

_EVENTS = ("question", "message.sent", "message.undelivered", "agent.permission_requested")
_ALL = 200

As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="PERSON",
        help="Person to act as; else the one of git's user.name or of your login.",
        show_default=False,
    ),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="A question's or message's id, or a part of it.")]

app = typer.Typer(
    help="What needs you: questions, permissions, notices, messages.",
    add_completion=False,
    invoke_without_command=True,
)


Limit = Annotated[int, typer.Option(min=1, max=_ALL, help="Most of each sort.")]


@app.callback()
def _inbox(
    ctx: typer.Context, *, limit: Limit = 20, as_json: AsJson = False, url: Url = None, named: As = None
) -> None:
    """Show what needs you first: questions, CLIs that wait for a permission, changes, notices, messages.

    You are an agent of type 'human', made on first use. 'repomesh message inbox --as AGENT' has an agent's.
    """
    if ctx.invoked_subcommand is None:
        list_(limit=limit, as_json=as_json, url=url, named=named)
    elif (limit, as_json, url, named) != (20, False, None, None):
        hint = f"Put them after it: 'repomesh inbox {ctx.invoked_subcommand} …'."
        raise CommandLineError(f"options stand before '{ctx.invoked_subcommand}'", hint=hint)


@app.command("list")
def list_(
    *,
    limit: Limit = 20,
    as_json: AsJson = False,
    url: Url = None,
    named: As = None,
) -> None:
    """Show what needs you, the most urgent first."""

    async def run(client: Client) -> Any:
        person = await terminal_user.act_as_person(client, named)
        return person, await _read(client, person["id"], limit)

    person, inbox = run_with_client(run, url=url)
    if person["type"] != "human":
        name = clean(person["name"])
        output.print_note(f"{name} is no person: its messages are in 'repomesh message inbox --as {name}'.")
    if as_json:
        output.print_json(inbox)
    else:
        output.print_lines(inbox_view.inbox_lines(output.style(), person["name"], inbox))


@app.command()
def read(id_: Id, *, as_json: AsJson = False, url: Url = None, named: As = None) -> None:
    """Show one question or message in full; a message then counts as read."""

    async def run(client: Client) -> tuple[str, Any]:
        await terminal_user.act_as_person(client, named)
        noun, full_id = await _resolve(client, id_)
        if noun == "question":
            return noun, await client.call_json("question.show", {"question_id": full_id})
        message = await client.call_json("message.show", {"message_id": full_id})
        await client.call_json("message.read", {"message_id": full_id})
        return noun, message

    noun, item = run_with_client(run, url=url)
    if as_json:
        output.print_json(item)
    else:
        draw = inbox_view.question_lines if noun == "question" else inbox_view.message_lines
        output.print_lines(draw(output.style(), item))


@app.command()
def reply(
    id_: Id,
    text: Annotated[str, typer.Argument(help="Your answer, or an option's number; '-' reads stdin.")],
    *,
    as_json: AsJson = False,
    url: Url = None,
    named: As = None,
) -> None:
    """Answer a question or a message; its sender gets the answer as a message."""
    answer = sys.stdin.read() if text == "-" else text
    if not answer.strip():
        raise InvalidRequest("the answer is empty")

    async def run(client: Client) -> tuple[str, Any]:
        await terminal_user.act_as_person(client, named)
        noun, full_id = await _resolve(client, id_)
        if noun == "question":
            return noun, await client.call_json("question.answer", {"question_id": full_id, "answer": answer})
        return noun, await client.call_json("message.send", {"parent_message_id": full_id, "body": answer})

    noun, result = run_with_client(run, url=url)
    if as_json:
        output.print_json(result)
    elif noun == "question":
        output.print_line(f"{result['asker_name']} is told: {result['answer']}")
    else:
        output.print_line(f"sent to {', '.join(result['to'])}")


@app.command()
def follow(*, as_json: AsJson = False, url: Url = None, named: As = None) -> None:
    """Show what needs you now, and what arrives later, until you stop it."""

    async def run(client: Client) -> None:
        from repomesh.client.stream import follow as events

        person = await terminal_user.act_as_person(client, named)
        position = (await client.call_json("event.list", {"newest": True, "limit": 1}))["last_seq"]
        inbox = await _read(client, person["id"], _ALL)
        _print(inbox if as_json else inbox_view.inbox_lines(output.style(), person["name"], inbox))
        async for event in events(client, after=position, type=list(_EVENTS)):
            if event["actor"] != person["id"]:
                _print(event if as_json else inbox_view.event_lines(output.style(), event, person["name"]))

    with suppress(KeyboardInterrupt, asyncio.CancelledError):  # Ctrl+C is how following ends
        run_with_client(run, url=url)


async def _read(client: Client, person_id: str, limit: int) -> dict[str, Any]:
    """Return the person's inbox, with the requests, and changes of others, that wait for a person."""
    inbox: dict[str, Any] = await client.call_json("inbox.show", {"limit": limit})
    pages = [
        await client.call_json("change.list", {"waits_for": waits_for, "limit": limit})
        for waits_for in ("approval", "work_tree")
    ]
    waiting = [change for page in pages for change in page["items"]]
    requests = await client.call_json("request.list", {"waits_for": "person", "open": True, "limit": limit})
    return inbox | {
        "changes": [change for change in waiting if change["author_id"] != person_id],
        "requests": requests["items"],
    }


def _print(item: Any) -> None:
    if isinstance(item, list):
        if item:
            print("\n".join(item), flush=True)
    else:
        print(output.as_json_text(item), flush=True)


async def _resolve(client: Client, id_: str) -> tuple[str, str]:
    """Return ('question' or 'message', whole id) of an id or a part of one."""
    full_id = await ids.find(client, id_, "question", "message")
    answer = await client.call_json("id.find", {"part": full_id, "what": ["question", "message"]})
    return (answer["items"][0]["what"] if answer["items"] else "message"), full_id
