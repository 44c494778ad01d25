"""`POST /v1/webhook`: one command on sessions, or several, as JSON from anywhere.

Answers `{"status", "data" or "error", "request_id"}` with the codes and hints of every surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pydantic_core
import structlog
from starlette.routing import Route

from repomesh.domains.agents.errors import AgentNotFound
from repomesh.domains.agents.operations import find_agent
from repomesh.domains.workspaces import tokens
from repomesh.domains.workspaces.operations import home_workspace
from repomesh.kernel import limits, signing
from repomesh.kernel.clock import Clock
from repomesh.kernel.dispatch import OperationResult
from repomesh.kernel.errors import (
    FAILURES,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    RepomeshError,
    Unauthenticated,
)
from repomesh.kernel.identity import Caller, RequestContext, Role, system_caller
from repomesh.kernel.json_text import run_off_loop_if_large
from repomesh.kernel.large_bodies import LargeBodyShare
from repomesh.kernel.limits import CONTENT_BODY_BYTES_MAX, WEBHOOK_ID_CHARS_MAX
from repomesh.kernel.operation import Kind
from repomesh.kernel.rates import RateLimiter
from repomesh.kernel.telemetry import trace_id_of, traced_context
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.http.asgi_messages import (
    JSON,
    Headers,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    respond,
)
from repomesh.surfaces.http.authentication import (
    agent_from_header,
    authenticate,
    mark_authenticated,
)
from repomesh.surfaces.http.problems import headers_of, problem
from repomesh.surfaces.http.routes import refuse_method
from repomesh.surfaces.inbound import commands
from repomesh.surfaces.inbound.commands import MalformedStep, WebhookCommand, WebhookStep
from repomesh.surfaces.inbound.unverified import UnverifiedBodies

log = structlog.get_logger("repomesh.webhook")

PATH = "/v1/webhook"
_RATE = "webhooks"
_HTTP_MEMBERS = ("type", "title", "status", "trace_id")


class WebhookEndpoint:
    """The endpoint, as an ASGI application."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock
        self._limiter = RateLimiter({_RATE: gateway.settings.webhooks_per_minute})
        self._unverified = UnverifiedBodies()

    def route(self) -> Route:
        """The route of the webhook."""
        return Route(PATH, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        trace_id = trace_id_of(header(scope, b"traceparent"))
        if scope["method"] == "OPTIONS":
            await refuse_method(scope, send, ["POST"], trace_id)
            return
        if scope["method"] != "POST":
            error = MethodNotAllowed(f"{scope['method']} is not a method of this path")
            await _refuse(send, error, trace_id, [(b"allow", b"OPTIONS, POST")])
            return
        request_id = trace_id
        try:
            bodies = self._gateway.bodies
            with bodies.share() as share:
                body, caller = await self._authenticate(scope, receive, share)
                async with bodies.turn(len(body)):
                    command = await run_off_loop_if_large(len(body), commands.read, body)
                    del body
                    webhook_id = _webhook_id(scope, command)
                    request_id = webhook_id or trace_id
                    context = _context(scope, trace_id, webhook_id)
                    data, replayed, corrections = await self._run(caller, command, context)
            answer = {"status": "success", "data": data, "request_id": request_id} | _corrections_entry(
                corrections
            )
            headers = [(b"idempotent-replayed", b"true")] if replayed else []
            await respond(send, 200, orjson.dumps(answer), JSON, headers)
        except RepomeshError as error:
            await _refuse(send, error, request_id)
        except Exception:  # the edge of the surface: the sender gets an answer for any failure
            log.exception("webhook failed", trace_id=trace_id)
            await _refuse(send, InternalError("the webhook failed inside the server"), request_id)

    async def _authenticate(
        self, scope: Scope, receive: Receive, share: LargeBodyShare
    ) -> tuple[bytes, Caller]:
        """Return the body and its sender, by a key before the body is read, or by the body's signature.

        Raises Unauthenticated, Forbidden, RateLimited, and what reading a body raises.
        """
        agent = agent_from_header(scope)
        key = header(scope, b"x-api-key")
        signatures = header(scope, b"webhook-signature")
        if key is None and signatures is not None:
            body, secret = await self._signed_body(scope, receive, signatures)
            share.count(len(body))
            caller = await self._signed_caller(secret)
            mark_authenticated(scope)
            self._limiter.take(_RATE, caller)
            return body, caller
        bearer = None if key is None else f"Bearer {key}"
        caller = await authenticate(self._gateway, scope, agent, bearer)
        self._limiter.take(_RATE, caller)
        return await read_body(scope, receive, CONTENT_BODY_BYTES_MAX, count=share.count), caller

    async def _signed_body(self, scope: Scope, receive: Receive, signatures: str) -> tuple[bytes, str]:
        """Return a signed body and the secret that signed it; raises Unauthenticated."""
        secret = self._gateway.settings.webhook_secret
        webhook_id = header(scope, b"webhook-id")
        if secret is None or webhook_id is None:
            raise Unauthenticated("signed webhooks need REPOMESH_WEBHOOK_SECRET here and a webhook-id there")
        signed = signing.SignedHeaders(
            webhook_id, header(scope, b"webhook-timestamp"), signatures, self._clock().timestamp()
        )
        with self._unverified.share() as share:
            body = await read_body(
                scope, receive, CONTENT_BODY_BYTES_MAX, limits.UNVERIFIED_BODY_S, share.count
            )
            signed.verify(secret.get_secret_value(), body)
        return body, secret.get_secret_value()

    async def _signed_caller(self, secret: str) -> Caller:
        """The caller of signed webhooks: the configured agent, with the secret's token id as principal."""
        name = self._gateway.settings.webhook_agent
        home = await self._gateway.store.read(system_caller(""), home_workspace)
        assert home is not None, "a server that runs has its home workspace"
        try:
            agent = await self._gateway.store.read(system_caller(home.id), lambda tx: find_agent(tx, name))
        except AgentNotFound:
            agent = None
        if agent is None or agent.status == "retired":
            hint = f"Register the agent '{name}', or name another in REPOMESH_WEBHOOK_AGENT."
            raise Unauthenticated(f"there is no agent '{name}' for signed webhooks to act as", hint=hint)
        token_id = await self._find_or_enrol_secret(system_caller(home.id), secret)
        return Caller(home.id, Role.AGENT, token_id, agent.id, agent.name, agent.type)

    async def _find_or_enrol_secret(self, server: Caller, secret: str) -> str:
        """The token id of the webhook secret, enrolled at its first use; raises TokenRevoked."""
        store = self._gateway.store
        token_id = await store.read(server, lambda tx: tokens.webhook_key(tx, secret))
        if token_id is not None:
            return token_id
        return await store.write(server, RequestContext(), lambda tx: tokens.enrol_webhook_key(tx, secret))

    async def _run(
        self, caller: Caller, command: WebhookCommand, context: RequestContext
    ) -> tuple[Any, bool, Sequence[str]]:
        """Run a command; returns its result, whether it is a replay, and the corrections of its fields."""
        if command.command != "batch":
            step = commands.read_step(command)
            answer = await self._run_step(caller, step, context, "")
            return answer.result.model_dump(mode="json"), answer.replayed, step.corrections
        steps, continues_on_error = commands.read_batch(command)
        if continues_on_error:
            return await self._run_each(caller, steps, context), False, ()
        return *await self._run_in_one_transaction(
            caller, [step for step in steps if isinstance(step, WebhookStep)], context
        ), ()

    async def _run_step(
        self, caller: Caller, step: WebhookStep, context: RequestContext, prefix: str
    ) -> OperationResult:
        try:
            return await self._gateway.call(
                step.operation, caller, pydantic_core.to_json(step.request), context
            )
        except InvalidRequest as error:
            raise commands.locate_errors(error, prefix) from None

    async def _run_in_one_transaction(
        self, caller: Caller, steps: list[WebhookStep], context: RequestContext
    ) -> tuple[dict[str, Any], bool]:
        """Run every step in one transaction."""
        kinds = {self._gateway.registry[step.operation].kind for step in steps}
        operation = "batch.read" if kinds == {Kind.QUERY} else "batch.run"
        operations = [{"operation": step.operation, "request": step.request} for step in steps]
        body = pydantic_core.to_json({"steps": operations})
        try:
            answer = await self._gateway.call(operation, caller, body, context)
        except InvalidRequest as error:
            number = error.details.get("step")
            if number is None:
                raise
            raise commands.locate_errors(error, f"data.commands.{number}.") from None
        results = answer.result.model_dump(mode="json")["results"]
        step_results = [
            {"command": step.command, "status": "success", "data": data}
            | _corrections_entry(step.corrections)
            for step, data in zip(steps, results, strict=True)
        ]
        return {"results": step_results}, answer.replayed

    async def _run_each(
        self, caller: Caller, steps: list[WebhookStep | MalformedStep], context: RequestContext
    ) -> dict[str, Any]:
        """Run every step in a transaction of its own; a refused one does not stop the others."""
        step_results: list[dict[str, Any]] = []
        for number, step in enumerate(steps):
            key = context.idempotency_key and f"{context.idempotency_key}#{number}"
            step_context = RequestContext(context.trace_id, context.traceparent, idempotency_key=key)
            try:
                if isinstance(step, MalformedStep):
                    raise step.error
                answer = await self._run_step(caller, step, step_context, f"data.commands.{number}.")
                step_result = {"status": "success", "data": answer.result.model_dump(mode="json")}
                step_result |= _corrections_entry(step.corrections)
            except RepomeshError as error:
                step_result = {"status": "error", "error": _error_body(error)}
            step_results.append({"command": step.command} | step_result)
        return {"results": step_results}


def _webhook_id(scope: Scope, command: WebhookCommand) -> str | None:
    """The id of the delivery, from a header or the body; raises InvalidRequest for a malformed one."""
    for name in (b"webhook-id", b"idempotency-key"):
        webhook_id = header(scope, name)
        if webhook_id is not None:
            if (
                not 0 < len(webhook_id) <= WEBHOOK_ID_CHARS_MAX
                or not webhook_id.isascii()
                or not webhook_id.isprintable()
            ):
                message = f"must have 1 to {WEBHOOK_ID_CHARS_MAX} visible characters"
                raise commands.field_error(name.decode(), message, "string_pattern_mismatch")
            return webhook_id
    return command.webhook_id


def _context(scope: Scope, trace_id: str, webhook_id: str | None) -> RequestContext:
    context = traced_context(header(scope, b"traceparent"))
    return replace(context, trace_id=trace_id, idempotency_key=webhook_id)


def _corrections_entry(corrections: Sequence[str]) -> dict[str, list[str]]:
    """The answer's entry about corrected fields."""
    return {"understood": list(corrections)} if corrections else {}


def _error_body(error: RepomeshError) -> dict[str, Any]:
    """An error as webhooks report it: a problem document without the members of HTTP."""
    document = problem(error, "")
    return {"code": document.pop("code"), "message": document.pop("detail")} | {
        name: value for name, value in document.items() if name not in _HTTP_MEMBERS
    }


async def _refuse(send: Send, error: RepomeshError, request_id: str, headers: Headers = ()) -> None:
    answer = {"status": "error", "error": _error_body(error), "request_id": request_id}
    all_headers = [*headers_of(error), *headers]
    await respond(send, FAILURES[error.failure].http, orjson.dumps(answer, default=str), JSON, all_headers)
