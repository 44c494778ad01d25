"""Reactions are declared with what they react to, and listed by name in the order of the domains."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import repomesh.domains
from repomesh.domains.agents.models import AGENT_RETIRED, AgentChanged
from repomesh.domains.leases.models import LEASE_EXPIRED, LEASE_RECLAIMED, LeasesEnded
from repomesh.kernel import reactions as kernel
from repomesh.kernel.event_types import EVENT_TYPES
from repomesh.kernel.reactions import EmittedEvent, collect_reactions, on
from repomesh.operations import REACTIONS, reactions

_DOMAINS = Path(repomesh.domains.__path__[0])
_PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
_CONTRACTS = _PYPROJECT["tool"]["importlinter"]["contracts"]


@pytest.fixture(autouse=True)
def declared() -> Iterator[None]:
    """What a test declares is forgotten after it."""
    kept = {module: list(found) for module, found in kernel._declared.items()}
    yield
    kernel._declared.clear()
    kernel._declared.update(kept)


def ended(tx: Any, event: EmittedEvent[LeasesEnded]) -> None:
    """Some reaction."""


def order() -> list[str]:
    """The domains, first to last, as import-linter holds them."""
    contract = next(each for each in _CONTRACTS if each["name"] == "A domain calls only domains before it")
    return [layer.rpartition(".")[2] for layer in reversed(contract["layers"])]


def test_a_function_may_react_to_several_events_of_one_model() -> None:
    assert on(LEASE_EXPIRED, LEASE_RECLAIMED)(ended) is ended
    assert [each.event_type for each in kernel._declared[__name__]] == [LEASE_EXPIRED, LEASE_RECLAIMED]


def test_the_data_must_be_that_of_the_event_type() -> None:
    def bare(tx: Any, event: AgentChanged) -> None:
        """Annotated with the data instead of the event."""

    for event_type, function in ((AGENT_RETIRED, ended), ("agent.unheard_of", ended), (AGENT_RETIRED, bare)):
        with pytest.raises(ValueError, match=f"can't react to {event_type}"):
            on(event_type)(function)
    assert __name__ not in kernel._declared


def test_reactions_that_are_not_listed_are_refused() -> None:
    on(LEASE_EXPIRED)(ended)
    with pytest.raises(ValueError, match=__name__):
        collect_reactions(REACTIONS)
    with pytest.raises(ValueError, match="empty"):
        collect_reactions((*REACTIONS, ModuleType("empty")))


def test_every_module_of_reactions_is_listed_in_the_order_of_the_domains() -> None:
    listed = [module.__name__.removeprefix("repomesh.domains.") for module in REACTIONS]
    found = {
        path.relative_to(_DOMAINS).with_suffix("").as_posix().replace("/", ".")
        for path in _DOMAINS.rglob("reactions.py")
    }
    assert set(listed) == found
    assert listed == sorted(listed, key=lambda name: order().index(name.partition(".")[0]))


def test_a_domain_reacts_to_earlier_domains_alone() -> None:
    for reaction in reactions:
        own = reaction.name.partition(".")[0]
        declaring = EVENT_TYPES[reaction.event_type].data.__module__.removeprefix("repomesh.domains.")
        assert order().index(declaring.partition(".")[0]) < order().index(own), reaction.name


def test_import_linter_holds_each_module_of_reactions_to_the_models_of_earlier_domains() -> None:
    held = {
        source: set(contract["forbidden_modules"])
        for contract in _CONTRACTS
        for source in contract.get("source_modules", ())
        if source.endswith(".reactions")
    }
    earlier = {
        module.__name__: {
            f"repomesh.domains.{name}" for name in order()[: order().index(module.__name__.split(".")[2])]
        }
        for module in REACTIONS
    }
    assert held == earlier
