"""The errors of suggested topics."""

from __future__ import annotations

from repomesh.kernel.errors import Unavailable


class TopicsUnavailable(Unavailable):
    """Topics can't be derived from texts, since the library for it is not installed with the server."""

    code = "topics_unavailable"
    hint = "Install the extra on the server: pip install 'repomesh[topics]', and start it again."
