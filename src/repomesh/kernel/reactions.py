"""Reactions: what a domain does, in the same transaction, when an event of an earlier domain was emitted.

A domain's `reactions.py` holds plain functions that `@on` declares. `repomesh/operations.py` lists these
modules in the order of the domains, and `collect_reactions` builds the one table by which a transaction finds
the reactions to an event. See docs/decisions/0033-reactions.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from repomesh.kernel.event_types import EVENT_TYPES

Data = TypeVar("Data", bound=BaseModel, covariant=True)
Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True, slots=True)
class EmittedEvent(Generic[Data]):
    """An event that the running transaction emitted, as reactions receive it."""

    id: str
    type: str
    subject: str
    data: Data


@dataclass(frozen=True, slots=True)
class EventReaction:
    """A function of (transaction, event) and the event type to which it reacts."""

    event_type: str
    function: Callable[[Any, EmittedEvent[Any]], None]

    @property
    def name(self) -> str:
        """The function with its module, without what all of them share: `tasks.reactions.reclaim_tasks`."""
        return f"{self.function.__module__}.{self.function.__qualname__}".removeprefix("repomesh.domains.")


class Reactions:
    """The reactions to each event type, in the order in which they run."""

    def __init__(self, reactions: Sequence[EventReaction] = ()) -> None:
        self._all = tuple(reactions)
        by_type: defaultdict[str, list[EventReaction]] = defaultdict(list)
        for reaction in reactions:
            by_type[reaction.event_type].append(reaction)
        self._by_type = {event_type: tuple(type_reactions) for event_type, type_reactions in by_type.items()}

    def for_event(self, event_type: str) -> Sequence[EventReaction]:
        """The reactions to events of a type; empty for most types."""
        return self._by_type.get(event_type, ())

    def __iter__(self) -> Iterator[EventReaction]:
        return iter(self._all)


NO_REACTIONS = Reactions()
"""For stores that only maintenance and tests open: nothing reacts to what they write."""

_declared: defaultdict[str, list[EventReaction]] = defaultdict(list)  # by the name of the declaring module


def on(*event_types: str) -> Callable[[Function], Function]:
    """Declare a function of (transaction, event) as a reaction to events; returns it unchanged.

    Annotate the event as `EmittedEvent[Data]`, where `Data` is the model that the types are declared with.
    Raises ValueError for an event type that is not declared, or declared with another model.
    """

    def decorate(function: Function) -> Function:
        annotation = list(get_type_hints(function).values())[1]
        expected = get_args(annotation)[0] if get_origin(annotation) is EmittedEvent else None
        for event_type in event_types:
            declared = EVENT_TYPES.get(event_type)
            if declared is None or declared.data is not expected:
                raise ValueError(f"{function.__module__}.{function.__qualname__} can't react to {event_type}")
            _declared[function.__module__].append(EventReaction(event_type, function))
        return function

    return decorate


def collect_reactions(modules: Sequence[ModuleType]) -> Reactions:
    """The reactions that these modules declare, in their order.

    Raises ValueError for a module that declares none, and for reactions declared in a module that is not
    listed: they would never run.
    """
    names = [module.__name__ for module in modules]
    mismatched = set(names) ^ set(_declared)
    if mismatched:
        raise ValueError(f"listed without a reaction, or the reverse: {', '.join(sorted(mismatched))}")
    return Reactions([reaction for name in names for reaction in _declared[name]])
