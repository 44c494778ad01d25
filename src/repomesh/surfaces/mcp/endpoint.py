"""The MCP endpoint: the tools over streamable HTTP, in the stateless and in the older handshake revisions.

Importing this module costs most of a second, because it imports the protocol library: `mount` does it aside.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import anyio
import mcp_types as types
import orjson
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from repomesh.kernel import limits
from repomesh.kernel.computing import PlacesPerCaller
from repomesh.kernel.errors import RepomeshError, TooManyCalls
from repomesh.kernel.json_text import check_json_structure, run_off_loop_if_large
from repomesh.kernel.limits import TEXT_BODY_BYTES_MAX
from repomesh.kernel.operation import Kind
from repomesh.kernel.telemetry import trace_id_of
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import Message, Receive, Scope, Send, header, read_body
from repomesh.surfaces.http.authentication import agent_from_header, authenticate
from repomesh.surfaces.http.problems import send_problem
from repomesh.surfaces.http.routes import request_context
from repomesh.surfaces.mcp.calls import WAIT, Calls, McpRequest
from repomesh.surfaces.mcp.instructions import INSTRUCTIONS
from repomesh.surfaces.mcp.resources import SessionResources
from repomesh.surfaces.mcp.sessions import OpenSession, OpenSessions
from repomesh.surfaces.mcp.tasks import McpTasks, WaitTasks, declares_tasks
from repomesh.surfaces.mcp.tool_output import ToolOutput
from repomesh.surfaces.mcp.tools import tool_listing, tools_by_name

SESSION_IDLE_S: Final = 30 * 60
"""A session of the older handshake without a request or an open stream is forgotten after this time."""
PROGRESS_EVERY_S: Final = 5.0
"""How often a call that is still running says so to a client that asked for progress."""
LIST_TTL_MS: Final = 300_000
"""How long a client may keep the list of tools."""

Context = ServerRequestContext[Any, Any]

_MCP_REQUEST_KEY: Final = "repomesh.mcp_request"


class ToolServer:
    """The protocol's server: lists the tools and calls them for the agent of each request."""

    def __init__(self, gateway: Gateway) -> None:
        self.calls = Calls(gateway)
        self._tools = tools_by_name(gateway.registry)
        tools = [tool_listing(operation) for operation in self._tools.values()]
        self._listing = {"resultType": "complete", "tools": tools}
        self.protocol: Server[Any] = Server(
            "repomesh",
            version=gateway.version,
            instructions=INSTRUCTIONS,
            cache_hints={"tools/list": CacheHint(ttl_ms=LIST_TTL_MS, scope="public")},
            get_tool_input_schema=lambda _name: None,  # no argument is mirrored in a header
        )
        # Registered rather than given to the constructor, whose types want result models and not plain JSON.
        self.protocol.add_request_handler("tools/list", types.PaginatedRequestParams, self._list)
        self.protocol.add_request_handler("tools/call", types.CallToolRequestParams, self._call)
        self.tasks = McpTasks(WaitTasks(self.calls, _request_of))
        self.tasks.add_to(self.protocol)
        SessionResources(self.calls, _request_of).add_to(self.protocol)

    async def _list(self, _context: Context, _params: types.PaginatedRequestParams) -> dict[str, Any]:
        return self._listing

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> dict[str, Any]:
        operation = self._tools.get(params.name)
        if operation is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        mcp_request = _request_of(context)
        meta: Mapping[str, Any] = context.meta or {}
        if operation.name == WAIT and declares_tasks(context):
            outcome = await self.tasks.waits.begin(context, params.arguments or {})
            return _result(outcome) if isinstance(outcome, ToolOutput) else outcome
        work = self.calls.run(operation, params.arguments or {}, mcp_request, meta)
        if operation.blocking is not None and "progress_token" in meta:
            return _result(await _run_with_progress(context, work))
        return _result(await work)


def _request_of(context: Context) -> McpRequest:
    """The HTTP request that a message came with."""
    assert context.request is not None
    mcp_request: McpRequest = context.request.scope[_MCP_REQUEST_KEY]
    client = context.session.client_params
    mcp_request.program = client.client_info.name if client is not None else ""
    return mcp_request


async def _run_with_progress(context: Context, work: Awaitable[ToolOutput]) -> ToolOutput:
    """Wait for the call, and report progress to the client every PROGRESS_EVERY_S seconds."""
    began = time.monotonic()

    async def report_progress() -> None:
        while True:
            await anyio.sleep(PROGRESS_EVERY_S)
            await context.session.report_progress(round(time.monotonic() - began, 1))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(report_progress)
        output = await work
        tasks.cancel_scope.cancel()
    return output


def _result(output: ToolOutput) -> dict[str, Any]:
    # `resultType` is required by 2026-07-28; the library drops it for the older revisions.
    texts = [output.text, output.reminder] if output.reminder else [output.text]
    result = {"resultType": "complete", "content": [{"type": "text", "text": text} for text in texts]}
    return result | {"isError": True} if output.is_error else result


class McpEndpoint:
    """The ASGI application at `/mcp`: authenticates each request, then hands it to the protocol."""

    def __init__(self, gateway: Gateway, server: ToolServer) -> None:
        self._gateway = gateway
        self._calls = server.calls
        # Host and Origin are checked for the whole server before a request gets here, and the body's size
        # before the library sees it.
        self._session_manager = StreamableHTTPSessionManager(
            server.protocol,
            session_idle_timeout=SESSION_IDLE_S,
            max_sessions=None,  # OpenSessions limits them, and can end a token's oldest for its next
            max_request_body_size=TEXT_BODY_BYTES_MAX,
        )
        self._open_sessions = OpenSessions()
        self._active_requests: set[McpRequest] = set()
        # The library takes a millisecond and more for each call, long before the operation asks for a turn.
        self._places: PlacesPerCaller[tuple[str, str | None]] = PlacesPerCaller(
            limits.MCP_CALLS_PER_CALLER_MAX,
            lambda count: TooManyCalls(f"{count} of your calls are open already", retry_after_s=1.0),
        )
        self._confirmations: set[asyncio.Task[None]] = set()
        logging.getLogger("mcp").setLevel(logging.WARNING)  # it writes session ids at INFO

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve inside the block. Enter it once, and leave it in the same task."""
        async with self._session_manager.run():
            yield
        await self.settled()

    def cut(self) -> None:
        """End every open wait and stream; other calls are short and finish on their own."""
        for mcp_request in tuple(self._active_requests):
            mcp_request.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # Header values come with the spaces around them, which the protocol's comparisons do not expect. Its
        # streams are not resumed, and it would fail over the id of an event.
        headers = [(name, value.strip()) for name, value in scope["headers"] if name != b"last-event-id"]
        scope = {**scope, "headers": headers}
        bodies = self._gateway.bodies
        session: OpenSession | None = None
        async with AsyncExitStack() as resources:
            try:
                mcp_request = await self._mcp_request(scope)
                session = self._open_sessions.find(mcp_request.session_id, mcp_request.opener)
                if scope["method"] == "POST":
                    resources.enter_context(self._places.place(_concurrency_key(mcp_request)))
                    share = resources.enter_context(bodies.share())
                    body = await read_body(scope, receive, TEXT_BODY_BYTES_MAX, count=share.count)
                    await resources.enter_async_context(bodies.turn(len(body)))
                    await run_off_loop_if_large(len(body), check_json_structure, body)
                    receive = _replay_body(body, receive)
                    if _opens_session(scope, body):
                        session = await self._begin_session(mcp_request, scope)
            except RepomeshError as error:
                await send_problem(send, error, trace_id_of(header(scope, b"traceparent")))
                return
            self._active_requests.add(mcp_request)
            try:
                if session is None:
                    await self._serve(mcp_request, scope, receive, send)
                else:
                    await self._serve_session(session, mcp_request, scope, receive, send)
            finally:
                mcp_request.end()
                self._active_requests.discard(mcp_request)

    async def _mcp_request(self, scope: Scope) -> McpRequest:
        authorization = header(scope, b"authorization")
        return McpRequest(
            context=request_context(scope, Kind.COMMAND),
            token_caller=await authenticate(self._gateway, scope),
            authorization=authorization,
            agent=agent_from_header(scope),
            session_id=header(scope, b"mcp-session-id") if _keeps_sessions(scope) else None,
        )

    async def _begin_session(self, mcp_request: McpRequest, scope: Scope) -> OpenSession:
        """Reserve a place for a session, ending another one if needed; raises TooManyMcpSessions."""
        token_id = mcp_request.token_caller.token_id
        evicted = self._open_sessions.make_room(token_id)
        session = self._open_sessions.begin(token_id, mcp_request.opener)
        if evicted is not None:
            try:
                with anyio.CancelScope(shield=True):
                    await self._end_session(evicted, scope)
            except BaseException:
                self._open_sessions.remove(session)
                raise
        return session

    async def _end_session(self, session: OpenSession, scope: Scope) -> None:
        """End a session as its client would. One that has ended meanwhile is no error."""
        assert session.id is not None
        inner = {
            **scope,
            "method": "DELETE",
            "headers": [(b"mcp-session-id", session.id.encode())],
            "user": _user(session.opener),
        }

        async def receive_empty() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def discard(_message: Message) -> None:
            return

        await self._session_manager.asgi_app(inner, receive_empty, discard)
        await self._calls.leave((session.opener, session.id))

    async def _serve_session(
        self, session: OpenSession, mcp_request: McpRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request in a session, or the one that opens it, and track whether the session is open."""
        status = 0

        async def send_noting_session(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                session_id = dict(message["headers"]).get(b"mcp-session-id")
                if session.id is None and session_id is not None and status < 400:
                    self._open_sessions.mark_open(session, session_id.decode())
            await send(message)

        with self._open_sessions.in_use(session):
            try:
                await self._serve(mcp_request, scope, receive, send_noting_session)
            finally:
                was_ended = scope["method"] == "DELETE" and 0 < status < 400
                if session.id is None or status == HTTPStatus.NOT_FOUND or was_ended:
                    self._open_sessions.remove(session)

    async def _serve(self, mcp_request: McpRequest, scope: Scope, receive: Receive, send: Send) -> None:
        # The session manager compares this user with the one that opened a session: another's gets 404.
        inner = {**scope, "user": _user(mcp_request.opener), _MCP_REQUEST_KEY: mcp_request}
        if scope["method"] == "DELETE":
            send = self._leave_before_end(mcp_request, send)
        send_with_end = _SendWithEnd(send)
        if scope["method"] != "GET":
            await self._session_manager.asgi_app(inner, receive, send_with_end)
            if (mcp_request.unconfirmed_outputs or mcp_request.lost_leases) and send_with_end.finished:
                self._confirm_later(mcp_request)
            return
        with anyio.CancelScope() as stream:
            mcp_request.stream = stream
            if mcp_request.over.is_set():
                stream.cancel()
            async with self._gateway.revocations.watch(mcp_request.token_caller, stream.cancel):
                await self._session_manager.asgi_app(inner, receive, send_with_end)
        if not send_with_end.finished:  # a stream that was cut, or that the server's shutdown ended
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _confirm_later(self, mcp_request: McpRequest) -> None:
        """Note in a task, after the answer, which messages and losses it delivered."""
        task = asyncio.create_task(self._calls.record_returned_messages(mcp_request))
        self._confirmations.add(task)
        task.add_done_callback(self._confirmations.discard)

    async def settled(self) -> None:
        """Wait until the pending confirmations of delivery are committed."""
        while self._confirmations:
            await asyncio.gather(*self._confirmations, return_exceptions=True)

    def _leave_before_end(self, mcp_request: McpRequest, send: Send) -> Send:
        """A `send` that ends the instance of a session before it confirms that the session is over."""

        async def send_after_leave(message: Message) -> None:
            is_ended = message["type"] == "http.response.start" and message["status"] < 400
            if is_ended and mcp_request.session is not None:
                await self._calls.leave(mcp_request.session)
            await send(message)

        return send_after_leave


def _user(opener: str) -> AuthenticatedUser:
    """The opener of a session, as the session manager knows it."""
    return AuthenticatedUser(AccessToken(token="", client_id=opener, scopes=[]))


def _opens_session(scope: Scope, body: bytes) -> bool:
    """Whether a request asks for a new session of the older handshake."""
    if header(scope, b"mcp-session-id") is not None or not _keeps_sessions(scope):
        return False
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False  # the session manager refuses it
    return isinstance(message, dict) and message.get("method") == "initialize"


class _SendWithEnd:
    """A `send` that records whether the response was finished."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.finished = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.finished = not message.get("more_body", False)
        await self._send(message)


def _keeps_sessions(scope: Scope) -> bool:
    """Whether a request belongs to a revision with sessions, by the session manager's own rule.

    In stateless requests a session id means nothing, since nobody compares it with its opener.
    """
    version = header(scope, b"mcp-protocol-version")
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS


def _concurrency_key(mcp_request: McpRequest) -> tuple[str, str | None]:
    """The key under which a call counts as concurrent: the agent's, also where the owner's token names it."""
    caller = mcp_request.token_caller
    return caller.actor_id, mcp_request.agent if caller.is_admin else None


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body that was read already, and later messages after it."""
    is_sent = False

    async def receive_replayed() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_replayed
