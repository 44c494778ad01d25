"""Operations: the one list of what repomesh can do, from which every surface is derived.

An operation is a plain, synchronous function of a transaction and a Pydantic request. The decorators
`command`, `query` and `subscription` register it and give the function back unchanged, so that one
operation may call another's function inside its own transaction.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Required, Self, TypedDict, TypeVar, Unpack, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from repomesh.kernel import limits
from repomesh.kernel.errors import InvalidRequest, RepomeshError
from repomesh.kernel.preparation import Prepare
from repomesh.kernel.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Any])

Payload = bytes | Mapping[str, Any] | BaseModel
"""JSON text (read strictly), strings from a query (read leniently), or a request already made."""


_set = object.__setattr__  # a frozen model's own refuses


_LISTS = frozenset({"list", "tuple", "set", "frozenset"})


def _fail_fast(schema: Any, *, within_model: bool = False) -> None:
    """End each list of a core schema at its first wrong item; the models inside have done so themselves."""
    if isinstance(schema, dict):
        type_ = schema.get("type")
        is_schema = isinstance(type_, str)  # else it maps names of fields, which may be any, to their schemas
        if is_schema and type_ == "model":
            if within_model:
                return
            within_model = True
        if is_schema and type_ in _LISTS:
            schema["fail_fast"] = True
        for name, part in schema.items():
            if not is_schema or name not in ("metadata", "serialization"):
                _fail_fast(part, within_model=within_model)
    elif isinstance(schema, list | tuple):
        for part in schema:
            _fail_fast(part, within_model=within_model)


class Model(BaseModel):
    """Base of every request and result: unknown fields are refused, values don't change."""

    # NaN and infinity are no JSON: taken in, they would come out as null.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The model's schema, in which each list ends at its first wrong item.

        Pydantic would make an error of every wrong item, and of some lists look at all items before it
        compares their number with the bound.
        """
        schema = handler(source)
        _fail_fast(schema)
        return schema

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """An instance of exactly these fields, all of them, which the server made or read from its own rows.

        They are not checked again, which for a message costs more than storing it.
        """
        instance = cls.__new__(cls)
        _set(instance, "__dict__", fields)
        _set(instance, "__pydantic_fields_set__", set(fields))
        _set(instance, "__pydantic_extra__", None)
        _set(instance, "__pydantic_private__", None)
        return instance


class PartialResult(Model):
    """The part of some work that one transaction did; other writers may come before the next part."""

    complete: bool = Field(description="Whether no due work is left; if not, repeat the call.")


class Empty(Model):
    """A request or an answer that carries nothing."""


class Kind(StrEnum):
    """What an operation does to the store."""

    COMMAND = "command"
    QUERY = "query"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class HttpBinding:
    """The verb and path of an operation, written by hand; `{field}` is a field of the request."""

    method: str
    path: str
    status: int = 200
    body_bytes_max: int = limits.BODY_BYTES_MAX

    @property
    def path_fields(self) -> tuple[str, ...]:
        """The request's fields that stand in the path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def has_body(self) -> bool:
        """Whether the remaining fields come as a JSON body; otherwise they are query parameters."""
        return self.method in ("POST", "PUT", "PATCH")


def Get(path: str) -> HttpBinding:
    """Bind to GET: every field outside the path is a query parameter."""
    return HttpBinding("GET", path)


def Post(path: str, *, status: int = 200, body_bytes_max: int = limits.BODY_BYTES_MAX) -> HttpBinding:
    """Bind to POST: fields outside the path come as a JSON body; `status` 201 for what creates."""
    return HttpBinding("POST", path, status, body_bytes_max)


def Patch(path: str) -> HttpBinding:
    """Bind to PATCH: fields outside the path come as a JSON body."""
    return HttpBinding("PATCH", path)


def Delete(path: str) -> HttpBinding:
    """Bind to DELETE: every field outside the path is a query parameter."""
    return HttpBinding("DELETE", path)


@dataclass(frozen=True, slots=True)
class Tool:
    """How an operation appears over MCP: few words, and only the fields that a model needs."""

    name: str
    description: str = ""
    fields: tuple[str, ...] | None = None
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class WaitRule:
    """How an operation waits: run, and while not `done`, run again after one of `events`.

    `seconds` reads the bound from the request; `next_request` carries what the last attempt answered (a place
    in a queue) into the next; `give_up` names the internal command that runs when time is up or the caller
    is gone, and `timeout_error` makes of its result the error to raise: one raised inside would undo it.
    """

    seconds: Callable[[Any], float]
    events: frozenset[str]
    done: Callable[[Any], bool]
    next_request: Callable[[Any, Any], Any] = lambda request, _result: request
    give_up: str | None = None
    timeout_error: Callable[[Any], RepomeshError] | None = None


FollowUp = Callable[[Any, Any], "tuple[str, BaseModel] | None"]
"""Of (request, result): the internal command to queue behind the answer, with its request."""

Shorten = Callable[[Any, int], Any]
"""Of (result, max_chars): the result within that budget, which says what is missing."""


@dataclass(frozen=True, slots=True)
class Due:
    """Finds the workspaces in which an operation that the server runs by itself has something to do.

    `statement` makes of the settings a select over all workspaces that answers (workspace_id, due_at) and
    takes the parameters `now` and `until` (see `store.due`). It runs at least every `every_s` seconds; 0 for
    each look, at most `sweep_every_s` apart. With `on_change` it also runs at the first look after an event
    was appended to any log: for what becomes due by a command and not by the clock.
    """

    statement: Callable[[Settings], Any]
    every_s: float = 0.0
    on_change: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that repomesh can do, with all that the surfaces need to offer it.

    `scope` is what the caller's role must hold ('area:right'); `errors` are the refusals of its own, for
    the documents; `rate` names a rate limit; `secret_field` the field of the result that holds a secret;
    `needs_agent` says that the caller must act as an agent; `prepare` runs before the transaction and
    returns the request that the function gets (see `repomesh.kernel.preparation`); `expensive_read` says
    that a query, or its `prepare`, may read many long texts: only SEARCHES_AT_ONCE of those reads run,
    and one of each caller; `due` finds the workspaces in which the server itself is to run it; `shorten`
    cuts a command's result to its budget, once it is recorded whole under its Idempotency-Key;
    `follow_up` queues an internal command behind the answer; `changes_access` says that callers must be
    looked up again.
    """

    name: str
    kind: Kind
    function: Callable[..., Any]
    request: type[BaseModel]
    result: type[BaseModel]
    scope: str
    http: HttpBinding | None = None
    tool: Tool | None = None
    errors: tuple[type[RepomeshError], ...] = ()
    blocking: WaitRule | None = None
    follow_up: FollowUp | None = None
    prepare: Prepare | None = None
    expensive_read: bool = False
    shorten: Shorten | None = None
    rate: str | None = None
    secret_field: str | None = None
    needs_agent: bool = False
    changes_access: bool = False
    due: tuple[Due, ...] = ()
    summary: str = field(default="")
    description: str = field(default="")

    @property
    def is_offered(self) -> bool:
        """Whether a surface offers it to callers; else only the server runs it."""
        return self.http is not None or self.tool is not None

    def parse(self, payload: Payload) -> BaseModel:
        """The request inside `payload`; raises InvalidRequest with each field that is wrong."""
        if isinstance(payload, BaseModel):
            return payload
        try:
            if isinstance(payload, bytes):
                return self.request.model_validate_json(payload or b"{}", strict=True)
            return self.request.model_validate(payload)
        except ValidationError as error:
            raise invalid_request(error, tuple(self.request.model_fields)) from None


_UNION_MEMBER = re.compile(
    r"constrained-\w+|str|int|float|bool|(literal|list|tuple|dict|nullable|tagged-union|function-\w+)\[.*",
    re.DOTALL,
)
"""A part of an error's location that is no field: the member of a union that refused the value."""


def invalid_request(error: ValidationError, known_fields: Sequence[str] = ()) -> InvalidRequest:
    """The InvalidRequest for a failed validation, with an entry for each of the first wrong fields.

    The message of an unknown field names the most similar one of `known_fields`. At most PROBLEM_FIELDS_MAX
    fields are reported, since a body may have a hundred thousand wrong ones.
    """
    fields: dict[str, dict[str, str]] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        parts = [str(part) for part in problem["loc"]]
        field_parts = [part for part in parts if not _UNION_MEMBER.fullmatch(part)]
        field, message = ".".join(field_parts) or "body", problem["msg"]
        if field not in fields and len(fields) >= limits.PROBLEM_FIELDS_MAX:
            break
        if problem["type"] == "too_short" and any(name.startswith(f"{field}.") for name in fields):
            continue  # a list counts as empty when its items are refused, which was said
        shown_field = field[: limits.PROBLEM_FIELD_CHARS_MAX]
        if problem["type"] == "extra_forbidden" and len(parts) == 1:
            suggestions = get_close_matches(shown_field, known_fields, n=1)
            message += f"; did you mean '{suggestions[0]}'?" if suggestions else ""
        if field in fields and len(field_parts) < len(parts):
            fields[field]["message"] += f"; or {message}"
        else:
            fields.setdefault(field, {"field": shown_field, "message": message, "type": problem["type"]})
    first = next(iter(fields.values()))
    return InvalidRequest(f"{first['field']}: {first['message']}", errors=list(fields.values()))


class Registry:
    """The operations by name, in the order in which they were written."""

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}

    def add(self, operation: Operation) -> None:
        """Register one operation. Raises ValueError if its name is taken."""
        if operation.name in self._operations:
            raise ValueError(f"operation {operation.name} is registered twice")
        self._operations[operation.name] = operation

    def __getitem__(self, name: str) -> Operation:
        return self._operations[name]

    def __contains__(self, name: str) -> bool:
        return name in self._operations

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations.values())

    def __len__(self) -> int:
        return len(self._operations)


registry = Registry()


class OperationOptions(TypedDict, total=False):
    """The options of the decorators; `Operation` explains them."""

    scope: Required[str]
    http: HttpBinding
    tool: Tool
    errors: tuple[type[RepomeshError], ...]
    blocking: WaitRule
    follow_up: FollowUp
    prepare: Prepare
    expensive_read: bool
    shorten: Shorten
    rate: str
    secret_field: str
    needs_agent: bool
    changes_access: bool
    due: tuple[Due, ...]


def _register(kind: Kind, name: str, function: Callable[..., Any], options: OperationOptions) -> None:
    hints = get_type_hints(function)
    request = hints[list(inspect.signature(function).parameters)[1]]
    result = hints["return"] if kind is not Kind.SUBSCRIPTION else Empty
    if not function.__doc__:
        raise ValueError(f"operation {name} has no docstring, of which its documents are made (python -OO?)")
    summary, _, description = inspect.cleandoc(function.__doc__).partition("\n")
    registry.add(
        Operation(
            name=name,
            kind=kind,
            function=function,
            request=request,
            result=result,
            summary=summary.strip(),
            description=description.strip(),
            **options,
        )
    )


def command(name: str, **options: Unpack[OperationOptions]) -> Callable[[Function], Function]:
    """Register a function of (transaction, request) that writes."""

    def decorate(function: Function) -> Function:
        _register(Kind.COMMAND, name, function, options)
        return function

    return decorate


def query(name: str, **options: Unpack[OperationOptions]) -> Callable[[Function], Function]:
    """Register a function of (transaction, request) that only reads."""

    def decorate(function: Function) -> Function:
        _register(Kind.QUERY, name, function, options)
        return function

    return decorate


def subscription(name: str, **options: Unpack[OperationOptions]) -> Callable[[Function], Function]:
    """Register a function of (transaction, request) that answers the filter of a stream over the log."""

    def decorate(function: Function) -> Function:
        _register(Kind.SUBSCRIPTION, name, function, options)
        return function

    return decorate
