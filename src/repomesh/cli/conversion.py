"""Values of options and arguments, converted without pydantic where their form leaves no doubt.

Typer converts every value with pydantic, which takes longer to load than most commands run. A value that is
converted here becomes what Typer would make of it; any other is left to Typer, which also words the errors.
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
    """Converts a parameter's values itself if it can, else as Typer does."""

    descriptor: TypeDescriptor

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return converted(self.annotation, value, self.parameter_info)
        except ValueError:
            return build_runtime_param(self.descriptor)._coerce_value(value, param, ctx)


def convert_directly() -> None:
    """Let every parameter of this process's commands, `--help` included, convert its values directly.

    Typer has no setting for that; without effect, where a release of it no longer asks this method.
    """
    for cls in (TyperArgument, TyperOption):
        cls.get_runtime_param = _runtime_param  # type: ignore[assignment, method-assign]


def _runtime_param(param: Any) -> RuntimeParam:
    descriptor = param.type_descriptor
    return DirectConversion(
        parameter_info=descriptor.parameter_info, annotation=descriptor.annotation, descriptor=descriptor
    )


def converted(annotation: Any, value: Any, about: Any) -> Any:
    """Return a value as `annotation` says; raises ValueError where only Typer knows how, or whether.

    `about` holds the parameter's bounds.
    """
    if get_origin(annotation) is list and isinstance(value, Sequence) and not isinstance(value, str):
        (inner,) = get_args(annotation)
        return [converted(inner, item, about) for item in value]
    if about.parser is not None or not isinstance(value, str):
        if type(value) is annotation and annotation in (int, float) and _is_within(value, about):
            return value  # a default
        raise ValueError
    value.encode()  # raises for what is no text, as pydantic does
    if annotation is str:
        return value
    if get_origin(annotation) is Literal:
        meant = _choice(value, get_args(annotation))
        if meant is not None:
            return meant
    if annotation is int and _INTEGER.fullmatch(value) and _is_within(int(value), about):
        return int(value)
    if annotation is float and _NUMBER.fullmatch(value) and _is_within(float(value), about):
        return float(value)
    raise ValueError


_AGREEMENT: Final = {"yes": "agree", "y": "agree", "no": "disagree", "n": "disagree"}
"""The choice, by the word that people type for it: `agree` for `yes`."""


def _choice(value: str, choices: Sequence[Any]) -> Any:
    """The choice that is meant, in any case; None for none."""
    if value in choices:
        return value
    word = _AGREEMENT.get(value.casefold(), value.casefold())
    return word if word in choices else None


def _is_within(number: float, about: Any) -> bool:
    above = about.min is None or number >= about.min
    return above and (about.max is None or number <= about.max)
