"""Converts plain values of options and arguments without pydantic.

Typer converts every value with pydantic, which takes longer to load than most commands run. The results are
those of Typer; values that are not plain are left to Typer, which also makes the error messages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

from typer._coercion import RuntimeParam, TypeDescriptor, build_runtime_param
from typer.core import TyperArgument, TyperOption

_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")


@dataclass(frozen=True)
class DirectConversion(RuntimeParam):
    """Converts the values of a parameter directly if possible, else through Typer."""

    descriptor: TypeDescriptor

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return convert(self.annotation, value, self.parameter_info)
        except ValueError:
            return build_runtime_param(self.descriptor)._coerce_value(value, param, ctx)


def convert_directly() -> None:
    """Let every parameter of this process's commands, `--help` included, convert its values directly.

    Typer has no setting for that. Without effect in a release that no longer calls `get_runtime_param`.
    """
    for cls in (TyperArgument, TyperOption):
        cls.get_runtime_param = _runtime_param  # type: ignore[assignment, method-assign]


def _runtime_param(param: Any) -> RuntimeParam:
    descriptor = param.type_descriptor
    return DirectConversion(
        parameter_info=descriptor.parameter_info, annotation=descriptor.annotation, descriptor=descriptor
    )


def convert(annotation: Any, value: Any, info: Any) -> Any:
    """Return the value as `annotation` says; raises ValueError for values that are left to Typer.

    `info` holds the parameter's bounds and parser.
    """
    if get_origin(annotation) is list and isinstance(value, Sequence) and not isinstance(value, str):
        (inner,) = get_args(annotation)
        return [convert(inner, item, info) for item in value]
    if info.parser is not None or not isinstance(value, str):
        if type(value) is annotation and annotation in (int, float) and _is_within(value, info):
            return value  # a default
        raise ValueError
    value.encode()  # raises for lone surrogates, as pydantic does
    if annotation is str:
        return value
    if get_origin(annotation) is Literal:
        choice = _choice(value, get_args(annotation))
        if choice is not None:
            return choice
    if annotation is int and _INTEGER.fullmatch(value) and _is_within(int(value), info):
        return int(value)
    if annotation is float and _NUMBER.fullmatch(value) and _is_within(float(value), info):
        return float(value)
    raise ValueError


_AGREEMENT: Final = {"yes": "agree", "y": "agree", "no": "disagree", "n": "disagree"}
"""Choices by the words that people type for them."""


def _choice(value: str, choices: Sequence[Any]) -> Any:
    """Return the choice that `value` names, ignoring case; None if there is none."""
    if value in choices:
        return value
    word = _AGREEMENT.get(value.casefold(), value.casefold())
    return word if word in choices else None


def _is_within(number: float, info: Any) -> bool:
    is_above_min = info.min is None or number >= info.min
    return is_above_min and (info.max is None or number <= info.max)
