"""What the conformance suite calls by fixed names; put beside the real tools by the suite's server only."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from task_fixtures import SCHEMAS, TaskFixtures

from repomesh.surfaces.mcp.endpoint import ToolServer

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]
Fixture = Callable[[Context, types.CallToolRequestParams], Awaitable[Json]]

PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
WAV: Final = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
IMAGE: Final[Json] = {"type": "image", "data": PNG, "mimeType": "image/png"}
STEP_S: Final = 0.05


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _embedded(uri: str, mime_type: str, text: str) -> Json:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}}


def _result(*content: Json, error: bool = False) -> Json:
    return {"resultType": "complete", "content": list(content), "isError": error}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


STRING: Final[Json] = {"type": "string"}

# Tools that answer always the same.
_CONTENT: Final[dict[str, list[Json]]] = {
    "test_simple_text": [_text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [
        _embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        _text("Multiple content types test:"),
        IMAGE,
        _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ],
}


async def _fails(_context: Context, _params: types.CallToolRequestParams) -> Json:
    return _result(_text("This tool intentionally returns an error for testing"), error=True)


async def _progresses(context: Context, _params: types.CallToolRequestParams) -> Json:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100)
        await asyncio.sleep(STEP_S)
    return _result(_text("Three steps were reported."))


async def _logs(context: Context, _params: types.CallToolRequestParams) -> Json:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        with warnings.catch_warnings(action="ignore", category=MCPDeprecationWarning):
            await context.session.send_log_message("info", line, related_request_id=context.request_id)
        await asyncio.sleep(STEP_S)
    return _result(_text("Three lines were logged."))


async def _samples(context: Context, params: types.CallToolRequestParams) -> Json:
    prompt = types.TextContent(type="text", text=str((params.arguments or {})["prompt"]))
    with warnings.catch_warnings(action="ignore", category=MCPDeprecationWarning):
        answer = await context.session.create_message(
            [types.SamplingMessage(role="user", content=prompt)],
            max_tokens=100,
            related_request_id=context.request_id,
        )
    text = answer.content.text if isinstance(answer.content, types.TextContent) else ""
    return _result(_text(f"LLM response: {text}"))


def _elicits(schema: Json, message: str = "") -> Fixture:
    """A tool of the older handshake that asks the person during the call."""

    async def elicit(context: Context, params: types.CallToolRequestParams) -> Json:
        asked = message or str((params.arguments or {})["message"])
        answer = await context.session.elicit_form(asked, schema, related_request_id=context.request_id)
        said = f"action={answer.action}, content={json.dumps(answer.content)}"
        return _result(_text(f"Elicitation completed: {said}"))

    return elicit


USER: Final = _object(
    username={"type": "string", "description": "User's response"},
    email={"type": "string", "description": "User's email address"},
)
DEFAULTS: Final[Json] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
_PLAIN: Final = ["option1", "option2", "option3"]


def _titled(*titles: str) -> list[Json]:
    return [{"const": f"value{number}", "title": title} for number, title in enumerate(titles, 1)]


ENUMS: Final[Json] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": _PLAIN},
        "titledSingle": {"type": "string", "oneOf": _titled("First Option", "Second Option", "Third Option")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _PLAIN}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": _titled("First Choice", "Second Choice", "Third Choice")},
        },
    },
}


def _ask_form(message: str, **properties: Json) -> Json:
    return {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": _object(**properties)},
    }


def _ask_model(text: str, max_tokens: int) -> Json:
    messages = [{"role": "user", "content": _text(text)}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": max_tokens}}


ASK_NAME: Final = {"user_name": _ask_form("What is your name?", name=STRING)}
ASK_ROOTS: Final[Json] = {"client_roots": {"method": "roots/list", "params": {}}}
CONFIRM: Final = {"confirm": _ask_form("Please confirm", ok={"type": "boolean"})}
CAPABILITY_OF: Final = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}

# Tools of 2026-07-28 that answer `input_required` once for each entry, and then a result.
_ROUNDS: Final[dict[str, list[Json]]] = {
    "test_input_required_result_elicitation": [ASK_NAME],
    "test_streaming_elicitation": [ASK_NAME],
    "test_input_required_result_sampling": [
        {"capital_question": _ask_model("What is the capital of France?", 100)}
    ],
    "test_input_required_result_list_roots": [ASK_ROOTS],
    "test_input_required_result_request_state": [CONFIRM],
    "test_input_required_result_tampered_state": [CONFIRM],
    "test_input_required_result_multiple_inputs": [
        {**ASK_NAME, "greeting": _ask_model("Generate a greeting", 50), **ASK_ROOTS}
    ],
    "test_input_required_result_multi_round": [
        {"step1": _ask_form("Step 1: What is your name?", name=STRING)},
        {"step2": _ask_form("Step 2: What is your favorite color?", color=STRING)},
    ],
}
_STATELESS: Final = {"test_input_required_result_elicitation", "test_streaming_elicitation"}

_KEY: Final = secrets.token_bytes(32)


def _state(tool: str, number: int) -> str:
    """The round that comes next, signed, so that a client cannot make one up."""
    return f"{number}.{hmac.digest(_KEY, f'{tool}/{number}'.encode(), 'sha256').hex()}"


def _asks(name: str, rounds: list[Json]) -> Fixture:
    """A tool that asks, round by round, and says what it was told."""

    async def ask(_context: Context, params: types.CallToolRequestParams) -> Json:
        number = 0
        if params.request_state is not None:
            number = next((n for n in range(len(rounds)) if _state(name, n) == params.request_state), -1)
            if number < 0:
                raise MCPError(types.INVALID_PARAMS, "requestState was not issued by this server")
        answers = params.input_responses or {}
        if rounds[number].keys() <= answers.keys():
            number += 1
        if number < len(rounds):
            state = {} if name in _STATELESS else {"requestState": _state(name, number)}
            return {"resultType": "input_required", "inputRequests": rounds[number], **state}
        told = {key: answer.model_dump(mode="json", by_alias=True) for key, answer in answers.items()}
        return _result(_text(f"state-ok {json.dumps(told)}"))

    return ask


def _declared(context: Context) -> Json:
    """What the client said that it can do."""
    declared = (context.meta or {}).get(types.CLIENT_CAPABILITIES_META_KEY)
    return declared if isinstance(declared, dict) else {}


async def _asks_what_is_possible(context: Context, _params: types.CallToolRequestParams) -> Json:
    """Asks only in ways that the client said it can answer."""
    declared = _declared(context)
    every = {**ASK_NAME, "greeting": _ask_model("Generate a greeting", 50), **ASK_ROOTS}
    asked = {key: request for key, request in every.items() if CAPABILITY_OF[request["method"]] in declared}
    if not asked:
        return _result(_text("There is nobody to ask."))
    return {"resultType": "input_required", "inputRequests": asked}


async def _needs_sampling(context: Context, _params: types.CallToolRequestParams) -> Json:
    declared = _declared(context)
    if "sampling" not in declared:
        data: Json = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling.", data)
    return _result(_text("The client can sample."))


def _always(content: list[Json]) -> Fixture:
    async def answer(_context: Context, _params: types.CallToolRequestParams) -> Json:
        return _result(*content)

    return answer


TOOLS: Final[dict[str, tuple[Json, Fixture]]] = {
    **{name: (_object(), _always(content)) for name, content in _CONTENT.items()},
    **{name: (_object(), _asks(name, rounds)) for name, rounds in _ROUNDS.items()},
    "test_error_handling": (_object(), _fails),
    "test_tool_with_progress": (_object(), _progresses),
    "test_tool_with_logging": (_object(), _logs),
    "test_logging_tool": (_object(), _logs),
    "test_sampling": (_object(prompt=STRING), _samples),
    "test_elicitation": (_object(message=STRING), _elicits(USER)),
    "test_elicitation_sep1034_defaults": (_object(), _elicits(DEFAULTS, "Please review the defaults")),
    "test_elicitation_sep1330_enums": (_object(), _elicits(ENUMS, "Please choose")),
    "test_input_required_result_capabilities": (_object(), _asks_what_is_possible),
    "test_missing_capability": (_object(), _needs_sampling),
}

RESOURCES: Final[list[Json]] = [
    {"uri": f"test://{path}", "name": path, "description": description, "mimeType": mime_type}
    for path, description, mime_type in (
        ("static-text", "A text that never changes", "text/plain"),
        ("static-binary", "A picture that never changes", "image/png"),
        ("watched-resource", "A text to subscribe to", "text/plain"),
    )
]
_BODIES: Final[dict[str, Json]] = {
    "test://static-text": {
        "mimeType": "text/plain",
        "text": "This is the content of the static text resource.",
    },
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched."},
}
TEMPLATE: Final[Json] = {
    "uriTemplate": "test://template/{id}/data",
    "name": "Template",
    "description": "Data by id",
    "mimeType": "application/json",
}


def _body(uri: str) -> Json:
    """What a resource holds; an error that names it when there is none."""
    before, _, after = uri.partition("test://template/")
    if not before and after.endswith("/data"):
        number = after.removesuffix("/data")
        data = {"id": number, "templateTest": True, "data": f"Data for ID: {number}"}
        return {"mimeType": "application/json", "text": json.dumps(data)}
    if uri not in _BODIES:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})
    return _BODIES[uri]


def _argument(name: str) -> Json:
    return {"name": name, "description": f"The {name} of the test", "required": True}


PROMPTS: Final[list[Json]] = [
    {"name": "test_simple_prompt", "description": "Without arguments"},
    {
        "name": "test_prompt_with_arguments",
        "description": "With two arguments",
        "arguments": [_argument("arg1"), _argument("arg2")],
    },
    {
        "name": "test_prompt_with_embedded_resource",
        "description": "With a resource inside",
        "arguments": [_argument("resourceUri")],
    },
    {"name": "test_prompt_with_image", "description": "With a picture inside"},
    {"name": "test_input_required_result_prompt", "description": "Asks before it answers"},
]
ASK_CONTEXT: Final = {"user_context": _ask_form("What context should the prompt use?", context=STRING)}


def _prompt(params: types.GetPromptRequestParams) -> list[Json]:
    """The contents of a prompt's messages."""
    arguments = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            return [_text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            return [_text(f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'")]
        case "test_prompt_with_embedded_resource":
            held = _embedded(arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
            return [held, _text("Please process the embedded resource above.")]
        case "test_prompt_with_image":
            return [IMAGE, _text("Please analyze the image above.")]
        case "test_input_required_result_prompt":
            return [_text("The context was given.")]
    raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")


def _listing(kind: str, items: list[Json]) -> Callable[[Context, Any], Awaitable[Json]]:
    async def listing(_context: Context, _params: Any) -> Json:
        return {"resultType": "complete", "ttlMs": 0, "cacheScope": "public", kind: items}

    return listing


async def _read_resource(_context: Context, params: types.ReadResourceRequestParams) -> Json:
    contents = [{"uri": params.uri, **_body(params.uri)}]
    return {"resultType": "complete", "ttlMs": 0, "cacheScope": "public", "contents": contents}


async def _get_prompt(_context: Context, params: types.GetPromptRequestParams) -> Json:
    if params.name == "test_input_required_result_prompt" and not params.input_responses:
        return {"resultType": "input_required", "inputRequests": ASK_CONTEXT}
    messages = [{"role": "user", "content": content} for content in _prompt(params)]
    return {"resultType": "complete", "messages": messages}


async def _complete(_context: Context, params: types.CompleteRequestParams) -> Json:
    values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    completion = {"values": values, "total": len(values), "hasMore": False}
    return {"resultType": "complete", "completion": completion}


async def _nothing(_context: Context, _params: Any) -> Json:
    return {}


def add_fixtures(tools: ToolServer) -> None:
    """Put the fixtures beside the tools that the server already has."""
    server, tasks = tools.protocol, TaskFixtures(tools.tasks)
    real_list, real_call = server.get_request_handler("tools/list"), server.get_request_handler("tools/call")
    assert real_list is not None
    assert real_call is not None
    shown = [
        {"name": name, "description": "A fixture", "inputSchema": schema}
        for name, schema in {**{name: schema for name, (schema, _) in TOOLS.items()}, **SCHEMAS}.items()
    ]

    async def list_tools(context: Context, params: types.PaginatedRequestParams) -> Any:
        real: Any = await real_list.handler(context, params)
        return {**real, "tools": [*real["tools"], *shown]}

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> Any:
        if params.name in SCHEMAS:
            return await tasks.call(context, params)
        fixture = TOOLS.get(params.name)
        return await (fixture[1] if fixture else real_call.handler)(context, params)

    page = types.PaginatedRequestParams
    server.add_request_handler("tools/list", page, list_tools)
    server.add_request_handler("tools/call", types.CallToolRequestParams, call_tool)
    server.add_request_handler("resources/list", page, _listing("resources", RESOURCES))
    server.add_request_handler("resources/templates/list", page, _listing("resourceTemplates", [TEMPLATE]))
    server.add_request_handler("resources/read", types.ReadResourceRequestParams, _read_resource)
    server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, _nothing)
    server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, _nothing)
    server.add_request_handler("prompts/list", page, _listing("prompts", PROMPTS))
    server.add_request_handler("prompts/get", types.GetPromptRequestParams, _get_prompt)
    server.add_request_handler("completion/complete", types.CompleteRequestParams, _complete)
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, _nothing)
