"""`repomesh inbox`: what needs the person first, and how it is answered."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repomesh.cli import inbox_text, output, person
from repomesh.cli.calling import ask
from repomesh.cli.options import AsJson, Url
from repomesh.kernel.errors import InvalidRequest, NotFound

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
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a question or message, or its end.")]

app = typer.Typer(
    help="What needs you: questions, permissions, notices, messages.",
    add_completion=False,
    invoke_without_command=True,
)


@app.callback()
def _inbox(ctx: typer.Context) -> None:
    """Show what needs you first: questions, CLIs that wait for a permission, notices, messages.

    You are an agent of type 'human', made on first use.
    """
    if ctx.invoked_subcommand is None:
        list_(limit=20, as_json=False, url=None, named=None)


@app.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=_ALL, help="Most of each sort.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
    named: As = None,
) -> None:
    """Show what needs you, the most urgent first."""

    async def run(client: Client) -> Any:
        who = await person.become(client, named)
        return who, await client.call_json("inbox.show", {"limit": limit})

    who, found = ask(run, url=url)
    if as_json:
        output.print_json(found)
    else:
        print("\n".join(inbox_text.whole(who["name"], found)))


@app.command()
def read(id_: Id, *, as_json: AsJson = False, url: Url = None, named: As = None) -> None:
    """Show one question or message whole; a message then counts as read."""

    async def run(client: Client) -> tuple[str, Any]:
        await person.become(client, named)
        noun, full = await _resolve(client, id_)
        if noun == "question":
            return noun, await client.call_json("question.show", {"question_id": full})
        shown = await client.call_json("message.show", {"message_id": full})
        await client.call_json("message.read", {"message_id": full})
        return noun, shown

    noun, found = ask(run, url=url)
    if as_json:
        output.print_json(found)
    else:
        print("\n".join(inbox_text.question(found) if noun == "question" else inbox_text.message(found)))


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
        await person.become(client, named)
        noun, full = await _resolve(client, id_)
        if noun == "question":
            return noun, await client.call_json("question.answer", {"question_id": full, "answer": said})
        return noun, await client.call_json("message.send", {"parent_message_id": full, "body": said})

    noun, done = ask(run, url=url)
    if as_json:
        output.print_json(done)
    elif noun == "question":
        output.say(f"{done['asker_name']} is told: {done['answer']}")
    else:
        output.say(f"sent to {', '.join(done['to'])}")


@app.command()
def follow(*, as_json: AsJson = False, url: Url = None, named: As = None) -> None:
    """Show what needs you now, and what comes, until you stop it."""

    async def run(client: Client) -> None:
        from repomesh.client.stream import follow as events

        who = await person.become(client, named)
        position = (await client.call_json("event.list", {"newest": True, "limit": 1}))["last_seq"]
        found = await client.call_json("inbox.show", {"limit": _ALL})
        _print(found if as_json else inbox_text.whole(who["name"], found))
        async for event in events(client, after=position, type=list(_EVENTS)):
            if event["actor"] != who["id"]:
                _print(event if as_json else inbox_text.event(event, who["name"]))

    with suppress(KeyboardInterrupt, asyncio.CancelledError):  # Ctrl+C is how following ends
        ask(run, url=url)


def _print(shown: Any) -> None:
    if isinstance(shown, list):
        if shown:
            print("\n".join(shown), flush=True)
    else:
        print(json.dumps(shown, ensure_ascii=False), flush=True)


async def _resolve(client: Client, id_: str) -> tuple[str, str]:
    """What an id, or the end of one, means: ('question' or 'message', the whole id)."""
    found = await client.call_json("inbox.show", {"limit": _ALL})
    ids = {question["id"]: "question" for question in found["questions"]}
    ids |= {message["id"]: "message" for name in ("notices", "messages") for message in found[name]}
    matching = [full for full in ids if full.endswith(id_.lower())]
    if len(matching) == 1:
        return ids[matching[0]], matching[0]
    if matching:
        raise InvalidRequest(f"'{id_}' is the end of {len(matching)} ids", hint="Give more of it.")
    if len(id_) != len("00000000-0000-0000-0000-000000000000"):
        raise NotFound(f"nothing in the inbox ends with '{id_}'", hint="Give the whole id of older things.")
    asked = (await client.call_json("question.list", {"limit": _ALL}))["items"]
    return ("question" if any(one["id"] == id_ for one in asked) else "message"), id_
