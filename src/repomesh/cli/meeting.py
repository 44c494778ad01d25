"""`repomesh meeting`: create meetings, take part, watch and replay them, and write their minutes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from repomesh.cli import completing, ids, output
from repomesh.cli.command_overrides import CommandOverride
from repomesh.cli.generic import add_command, make_option, noun_group
from repomesh.cli.options import ActingAgent, AsJson, Url
from repomesh.cli.with_client import run_with_client
from repomesh.client.catalogue import operation
from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest, NotFound
from repomesh.views import meeting_view
from repomesh.views.terminal_text import clean

if TYPE_CHECKING:
    from repomesh.client.client import Client

_OVER: Final = frozenset({"meeting.completed", "meeting.cancelled"})
_PAGE: Final = 200

app = noun_group("meeting", "Discuss in turn, vote and decide: create, watch, minutes.")

_Meeting = Annotated[
    str,
    typer.Argument(
        metavar="MEETING_ID",
        help="Id of the meeting, or a part of it.",
        show_default=False,
        autocompletion=completing.completer("meeting"),
    ),
]


async def _add_suggestion(
    client: Client, fields: dict[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields of a meeting, completed from the suggested topic; given fields take precedence."""
    if options["suggested"] is None:
        if "topic" not in fields:
            raise InvalidRequest(
                "a meeting needs a topic", hint="Say what it is about, or take one with --suggested."
            )
        return fields
    criteria = {"hours_back": options["hours_back"], "limit": limits.TOPICS_MAX}
    answer = await client.call_json("meeting.suggest_topics", criteria)
    topic = _pick_topic(answer["suggested_topics"], options["suggested"])
    suggested = {
        "topic": topic["topic"],
        "meeting_type": "auto_generated",
        "participant_ids": topic["suggested_participants"],
        "related_message_ids": topic["related_messages"],
        "related_task_ids": topic["related_tasks"],
    }
    return suggested | fields


def _pick_topic(topics: Sequence[Mapping[str, Any]], choice: str) -> Mapping[str, Any]:
    """Return the topic with this number, or this text in its title; raises NotFound and InvalidRequest."""
    if choice.isdecimal():
        matching = topics[int(choice) - 1 : int(choice)] if int(choice) else []
    else:
        matching = [topic for topic in topics if choice.casefold() in topic["topic"].casefold()]
    if not matching:
        raise NotFound(
            f"no suggested topic is '{choice}'; there are {len(topics)}",
            hint="See them with 'repomesh meeting suggest', with the same --hours-back.",
        )
    if len(matching) > 1:
        raise InvalidRequest(f"'{choice}' is in {len(matching)} suggested topics", hint="Give its number.")
    return matching[0]


add_command(
    app,
    operation("meeting.create"),
    CommandOverride(arguments=("topic", "participant_ids"), optional=("topic", "participant_ids")),
    (
        make_option(
            "suggested",
            Annotated[
                str | None,
                typer.Option(
                    metavar="NUMBER",
                    help="Take the topic with this number of 'suggest', or part of its title; "
                    "the messages and tasks behind it are linked.",
                    show_default=False,
                ),
            ],
        ),
        make_option(
            "hours_back",
            Annotated[float, typer.Option("--hours-back", help="For --suggested, as for 'suggest'.")],
            24.0,
        ),
    ),
    _add_suggestion,
)
add_command(
    app,
    operation("meeting_template.list"),
    CommandOverride(
        name="templates", help="List the templates, which give a meeting its agenda, rule and prompts."
    ),
)


@app.command()
def watch(
    meeting_id: _Meeting, *, as_json: AsJson = False, url: Url = None, acting_agent: ActingAgent = None
) -> None:
    """Follow a meeting: past events, then new ones, until it is over or you stop it.

    With --json a line is the event as the API returns it.
    """

    async def run(client: Client) -> None:
        async for event in _watch_events(client, await ids.find(client, meeting_id, "meeting")):
            _print(event, event["at"][11:19], as_json=as_json)

    with suppress(KeyboardInterrupt, asyncio.CancelledError):  # Ctrl+C is how following ends
        run_with_client(run, url=url, agent=acting_agent)


async def _watch_events(client: Client, meeting_id: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a meeting from its first one to its last one, as they happen."""
    from repomesh.client.stream import follow

    criteria: dict[str, Any] = {"correlation_id": meeting_id, "type": ["meeting", "decision"]}
    position = (await client.call_json("event.list", {"newest": True, "limit": 1}))["last_seq"]
    meeting = await client.call_json("meeting.show", {"meeting_id": meeting_id})
    is_over = meeting["status"] in meeting_view.ENDED  # its events may be pruned from the log
    async for event in client.items("event.list", **criteria, limit=_PAGE):
        position = max(position, event["seq"])
        is_over = is_over or event["type"] in _OVER
        yield event
    if is_over:
        return
    async with aclosing(follow(client, after=position, **criteria)) as new_events:
        async for event in new_events:
            yield event
            if event["type"] in _OVER:
                return


@app.command()
def replay(
    meeting_id: _Meeting,
    *,
    speed: Annotated[
        float,
        typer.Option(
            min=0, max=limits.MEETING_REPLAY_SPEED_MAX, help="60 plays an hour in a minute; 0 does not wait."
        ),
    ] = 1.0,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Replay a meeting's events with their original delays, divided by the speed.

    With --json a line is an event with its offset in seconds at that speed.
    """

    async def run(client: Client) -> None:
        loop = asyncio.get_running_loop()
        whole_id = await ids.find(client, meeting_id, "meeting")
        started_at = loop.time()
        async for event in client.items(
            "meeting.replay", meeting_id=whole_id, speed=speed or 1.0, limit=_PAGE
        ):
            if speed:
                await asyncio.sleep(max(started_at + event["offset_s"] - loop.time(), 0))
            _print(event, _format_offset(event["offset_s"] * (speed or 1.0)), as_json=as_json)

    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        run_with_client(run, url=url, agent=acting_agent)


@app.command()
def minutes(
    meeting_id: _Meeting,
    *,
    format_: Annotated[
        Literal["markdown", "json"], typer.Option("--format", help="A text for people, or every figure.")
    ] = "markdown",
    output_: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write them to a file.", show_default=False),
    ] = None,
    max_chars: Annotated[
        int | None, typer.Option(help="Budget for the text; what was left out is said.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    acting_agent: ActingAgent = None,
) -> None:
    """Write the minutes of a meeting: what was said, proposed and voted, and the decision."""
    options = {"meeting_id": meeting_id, "format": format_, "max_chars": max_chars}
    fields = {name: value for name, value in options.items() if value is not None}

    async def read(client: Client) -> Any:
        return await client.call_json("meeting.minutes", await ids.resolve(client, "meeting.minutes", fields))

    answer = run_with_client(read, url=url, agent=acting_agent)
    if format_ == "markdown" and not as_json:
        text = clean(answer["markdown"])
    else:
        text = output.as_json_text(answer if as_json else answer["meeting"], indent=2) + "\n"
    if output_ is None:
        print(text, end="", flush=True)
    else:
        output.write_private(output_, text)
        output.print_note(f"wrote {output_}")


def _print(event: Mapping[str, Any], mark: str, *, as_json: bool) -> None:
    if as_json:
        print(output.as_json_text(event), flush=True)
        return
    style = output.style()
    lines = meeting_view.event_lines(style, event)
    if lines:
        further_lines = [f"{' ' * len(mark)}  {line}" for line in lines[1:]]
        print("\n".join([f"{style.dim(mark)}  {lines[0]}", *further_lines]), flush=True)


def _format_offset(seconds: float) -> str:
    """Format seconds since the meeting was created as '+minutes:seconds'."""
    minutes_, seconds_ = divmod(max(seconds, 0.0), 60)
    return f"+{minutes_:.0f}:{seconds_:04.1f}"
