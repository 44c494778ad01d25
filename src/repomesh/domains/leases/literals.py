"""Files by their exact names, as requests name them."""

from __future__ import annotations

from collections.abc import Sequence

from repomesh.domains.leases.errors import InvalidResource
from repomesh.kernel import file_names


def decode_all(texts: Sequence[str], field: str) -> list[str]:
    """Each name; raises InvalidResource that names the field."""
    names = []
    for index, text in enumerate(texts):
        try:
            name = file_names.decode(text)
            file_names.size_checked(name)
        except ValueError as error:
            place = f"{field}.{index}"
            raise InvalidResource(
                f"{place}: {error}",
                hint="Percent-encode the bytes of the file's name, from the root of the repository.",
                errors=[{"field": place, "message": str(error), "type": "resource"}],
            ) from None
        names.append(name)
    return names
