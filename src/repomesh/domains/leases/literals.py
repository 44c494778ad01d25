"""Files by their exact names, as requests name them."""

from __future__ import annotations

from collections.abc import Sequence

from repomesh.domains.leases.errors import InvalidResource
from repomesh.kernel import file_names


def decode_all(texts: Sequence[str], field: str) -> list[str]:
    """Decode percent-encoded file names. Raises InvalidResource that names the field and the index."""
    names = []
    for index, text in enumerate(texts):
        try:
            name = file_names.decode(text)
            file_names.size_checked(name)
        except ValueError as error:
            item_field = f"{field}.{index}"
            raise InvalidResource(
                f"{item_field}: {error}",
                hint="Percent-encode the bytes of the file's name, from the root of the repository.",
                errors=[{"field": item_field, "message": str(error), "type": "resource"}],
            ) from None
        names.append(name)
    return names
