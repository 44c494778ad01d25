"""What a lease can be on: a path pattern, a named resource, a task, or other work that somebody holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from repomesh.domains.leases import globs, paths
from repomesh.domains.leases.errors import InvalidResource
from repomesh.kernel.limits import LIST_ITEMS_MAX

PATH = "path"
RESOURCE = "resource"
TASK = "task"

LOCK_TYPES = (PATH, RESOURCE)
"""What the lock operations handle; leases of other types belong to their domains."""

_RESOURCE_BYTES_MAX = 2_000  # an entry of a B-tree index holds 2,704 bytes, of which ids need some

# At least two characters before the colon, so that a drive letter never counts as a name; no control
# characters and no lone surrogates behind it, and not only blanks.
_NAMED = re.compile(r"[A-Za-z][A-Za-z0-9._+-]+:(?=.*\S)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that can be leased. `text` is its one spelling; `prefix` is what it is looked up by.

    For a path pattern the prefix is its leading segments without wildcards; for anything else it is the
    text itself.
    """

    type: str
    text: str
    prefix: str

    @property
    def is_pattern(self) -> bool:
        """Whether it holds more than one thing: a path pattern with wildcards."""
        return self.type == PATH and self.text != self.prefix

    def overlaps(self, type_: str, text: str, budget: paths.ComparisonBudget | None = None) -> bool:
        """Whether it may be, or hold, the same thing as the resource of this type and text."""
        if self.type != type_:
            return False
        return self.text == text or (type_ == PATH and paths.may_conflict(self.text, text, budget))


def path(pattern: str) -> Resource:
    """Return the path or pattern that a text without brace alternatives names; raises InvalidResource."""
    resources = all_paths(pattern)
    if len(resources) > 1:
        raise InvalidResource(f"{pattern[:80]!r} stands for several paths", hint="Write one path.")
    return resources[0]


def all_paths(pattern: str) -> list[Resource]:
    """The paths that a text stands for, one for each alternative of its braces; raises InvalidResource."""
    return [_path(alternative) for alternative in globs.alternatives(pattern)]


def _path(pattern: str) -> Resource:
    try:
        text = paths.normalise(pattern)
    except paths.InvalidPathPattern as error:
        raise InvalidResource(error.problem, hint=error.hint) from None
    return _check_size(Resource(PATH, text, paths.literal_prefix(text)))


def named(name: str) -> Resource:
    """A resource by its name, such as `port:8080`; raises InvalidResource."""
    if _NAMED.fullmatch(name) is None:
        raise InvalidResource(f"{name[:80]!r} is not a named resource, such as 'port:8080'")
    return _check_size(Resource(RESOURCE, name, name))


def work(type_: str, id_: str) -> Resource:
    """A piece of work of another domain, by its id: a task, a workflow run."""
    return Resource(type_, id_, id_)


def parse(text: str) -> list[Resource]:
    """What a lock request means by `text`: `name:anything` is a named resource, all else a path pattern.

    Braces stand for several paths. A file whose name looks like a named resource is written
    `./name:anything`. Raises InvalidResource.
    """
    return [named(text)] if _NAMED.fullmatch(text) else all_paths(text)


def parse_all(texts: Iterable[str], field: str = "resources") -> tuple[Resource, ...]:
    """Return all that `texts` stand for, each once, in order; raises InvalidResource that names the field."""
    resources: dict[Resource, None] = {}
    for index, text in enumerate(texts):
        try:
            resources.update(dict.fromkeys(parse(text)))
        except InvalidResource as error:
            raise _locate_error(f"{field}.{index}", error) from None
        if len(resources) > LIST_ITEMS_MAX:
            message = f"with braces expanded the request names more than {LIST_ITEMS_MAX} resources"
            hint = "Lock a folder, or send several requests."
            raise _locate_error(f"{field}.{index}", InvalidResource(message, hint=hint))
    return tuple(resources)


def _locate_error(field: str, error: InvalidResource) -> InvalidResource:
    return InvalidResource(
        f"{field}: {error.message}",
        hint=error.hint,
        errors=[{"field": field, "message": error.message, "type": "resource"}],
    )


def _check_size(resource: Resource) -> Resource:
    size = len(resource.text.encode())
    if size > _RESOURCE_BYTES_MAX:
        raise InvalidResource(
            f"the resource has {size} bytes, more than {_RESOURCE_BYTES_MAX}",
            hint="Name a folder further up, like 'src/app/**'.",
        )
    return resource
