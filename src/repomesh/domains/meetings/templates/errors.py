"""What can go wrong with templates."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, NotFound


class TemplateNotFound(NotFound):
    """No template has that name."""

    code = "template_not_found"
    hint = "List the templates to see their names."


class TemplateNameTaken(Conflict):
    """A template of that name is there already, built in or made here."""

    code = "template_name_taken"
    hint = "Choose another name, or delete the one that was made here first."


class TemplateBuiltIn(Conflict):
    """Templates that come with the server stay."""

    code = "template_built_in"
    hint = "Create a template of your own beside it."
