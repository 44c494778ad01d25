"""`repomesh inbox`: what needs the person first, and how it is answered."""

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
    """Show what needs you first: questions, CLIs that wait for a permission, notices, messages.

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
        who = await terminal_user.act_as_person(client, named)
        return who, await client.call_json("inbox.show", {"limit": limit})

    who, found = run_with_client(run, url=url)
    if who["type"] != "human":
        name = clean(who["name"])
        output.print_note(f"{name} is no person: its messages are in 'repomesh message inbox --as {name}'.")
    if as_json:
        output.print_json(found)
    else:
        output.print_lines(inbox_view.inbox_lines(output.style(), who["name"], found))


@app.command()
def read(id_: Id, *, as_json: AsJson = False, url: Url = None, named: As = None) -> None:
    """Show one question or message whole; a message then counts as read."""

    async def run(client: Client) -> tuple[str, Any]:
        await terminal_user.act_as_person(client, named)
        noun, full = await _resolve(client, id_)
        if noun == "question":
            return noun, await client.call_json("question.show", {"question_id": full})
        shown = await client.call_json("message.show", {"message_id": full})
        await client.call_json("message.read", {"message_id": full})
        return noun, shown

    noun, found = run_with_client(run, url=url)
    if as_json:
        output.print_json(found)
    else:
        draw = inbox_view.question_lines if noun == "question" else inbox_view.message_lines
        output.print_lines(draw(output.style(), found))


@app.command()
def reply(
    id_: Id,
    text: Annotated[str, typer.Argument(help="Your answer, or an option's number; '-' reads stdin.")],
    *,
    as_json: AsJson = False,
    url: Url = None,
    named: As = None,
) -> None:
    """Answer a question or a message; who asked gets it as a message."""
    said = sys.stdin.read() if text == "-" else text
    if not said.strip():
        raise InvalidRequest("the answer is empty")

    async def run(client: Client) -> tuple[str, Any]:
        await terminal_user.act_as_person(client, named)
        noun, full = await _resolve(client, id_)
        if noun == "question":
            return noun, await client.call_json("question.answer", {"question_id": full, "answer": said})
        return noun, await client.call_json("message.send", {"parent_message_id": full, "body": said})

    noun, done = run_with_client(run, url=url)
    if as_json:
        output.print_json(done)
    elif noun == "question":
        output.print_line(f"{done['asker_name']} is told: {done['answer']}")
    else:
        output.print_line(f"sent to {', '.join(done['to'])}")


@app.command()
def follow(*, as_json: AsJson = False, url: Url = None, named: As = None) -> None:
    """Show what needs you now, and what comes, until you stop it."""

    async def run(client: Client) -> None:
        from repomesh.client.stream import follow as events

        who = await terminal_user.act_as_person(client, named)
        position = (await client.call_json("event.list", {"newest": True, "limit": 1}))["last_seq"]
        found = await client.call_json("inbox.show", {"limit": _ALL})
        _print(found if as_json else inbox_view.inbox_lines(output.style(), who["name"], found))
        async for event in events(client, after=position, type=list(_EVENTS)):
            if event["actor"] != who["id"]:
                _print(event if as_json else inbox_view.event_lines(output.style(), event, who["name"]))

    with suppress(KeyboardInterrupt, asyncio.CancelledError):  # Ctrl+C is how following ends
        run_with_client(run, url=url)


def _print(shown: Any) -> None:
    if isinstance(shown, list):
        if shown:
            print("\n".join(shown), flush=True)
    else:
        print(output.as_json_text(shown), flush=True)


async def _resolve(client: Client, id_: str) -> tuple[str, str]:
    """What an id, or a part of one, means: ('question' or 'message', the whole id)."""
    full = await ids.find(client, id_, "question", "message")
    found = await client.call_json("id.find", {"part": full, "what": ["question", "message"]})
    return (found["items"][0]["what"] if found["items"] else "message"), full
