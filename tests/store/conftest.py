"""Fixtures of the tests that write to a store without a server around it."""

from __future__ import annotations

import pytest

from notebook import Notebook, open_notebook
from repomesh.app import Server


@pytest.fixture
def notebook(server: Server) -> Notebook:
    """A notebook in the home workspace of a server whose store is open."""
    return open_notebook(server.store)
