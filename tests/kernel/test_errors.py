"""Errors: each can be told apart, explained and acted on, on every surface."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import repomesh
from repomesh.kernel.errors import FAILURES, Failure, RepomeshError
from repomesh.operations import registry
from repomesh.surfaces.http.problems import problem

# Every module defines its errors, also the ones that wait until they are used.
for module in pkgutil.walk_packages(repomesh.__path__, "repomesh."):
    if not module.name.endswith("__main__") and ".migrations." not in module.name:  # those two are scripts
        import_module(module.name)


def all_errors(base: type[RepomeshError] = RepomeshError) -> list[type[RepomeshError]]:
    found = [base]
    for further in base.__subclasses__():
        found += all_errors(further)
    return [error for error in found if error.__module__.startswith("repomesh.")]


def test_every_failure_has_its_code_on_every_surface() -> None:
    assert FAILURES.keys() == set(Failure)
    assert {codes.exit for codes in FAILURES.values()} <= {1, 2, 3, 4, 5, 6}


def test_every_error_has_a_code_a_title_and_something_to_do() -> None:
    for error in all_errors():
        assert error.__doc__, error
        assert error.hint, error
        told = problem(error("it went wrong"), "trace")
        assert told["title"] == inspect.cleandoc(error.__doc__).splitlines()[0]
        assert told["title"].endswith("."), error
        assert 400 <= told["status"] <= 599


def test_no_two_errors_share_a_code() -> None:
    codes: dict[str, type[RepomeshError]] = {}
    for error in all_errors():
        if "code" not in vars(error):  # it is its parent, with more to say
            continue
        assert codes.setdefault(error.code, error) is error, error.code


def test_details_can_not_hide_what_a_problem_must_say() -> None:
    told = problem(RepomeshError("the message", code="x", status=1, trace_id="y", seq=7), "trace")
    assert (told["code"], told["status"], told["trace_id"], told["seq"]) == ("internal", 500, "trace", 7)


def test_operations_announce_errors_that_are_refusals() -> None:
    for operation in registry:
        for error in operation.errors:
            assert error.failure is not Failure.INTERNAL, (operation.name, error)
