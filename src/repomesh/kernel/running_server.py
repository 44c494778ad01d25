"""Sends a client's requests to the server that runs now, and nowhere when none does.

A server that was killed leaves its URL behind, and another program may listen there; one that was started
again may have another port.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx


def redirect_hooks(served_url: Callable[[], str | None] | None) -> dict[str, list[Callable[..., Any]]]:
    """httpx event hooks that redirect each request to the origin that `served_url` returns.

    They raise ConnectError, and send nothing, while it returns None.
    """

    async def redirect(request: httpx.Request) -> None:
        if served_url is None:
            return
        url = served_url()
        if url is None:
            raise httpx.ConnectError("the server of the data folder does not run", request=request)
        origin = httpx.URL(url)
        request.url = request.url.copy_with(scheme=origin.scheme, host=origin.host, port=origin.port)
        request.headers["Host"] = origin.netloc.decode("ascii")

    return {"request": [redirect]}
