"""What can go wrong with workspaces."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict


class WorkspaceNameTaken(Conflict):
    """Another workspace of this server has that name."""

    code = "workspace_name_taken"
    hint = "Choose another name, or use the workspace that has it: 'repomesh workspace list'."


class AnotherRepository(Conflict):
    """The database belongs to a repository of another name; two would be mixed up in one workspace."""

    code = "another_repository"
    hint = (
        "Give this repository a database of its own. If it is the same one in a folder of another name, set "
        "REPOMESH_WORKSPACE to the name above."
    )


class HomeWorkspace(Conflict):
    """The home workspace can't be removed while the server runs in it."""

    code = "home_workspace"
    hint = "Stop the server with 'repomesh down' instead; the data folder can then be deleted."
