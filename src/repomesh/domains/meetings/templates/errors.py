"""What can go wrong with templates."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, NotFound


class TemplateNotFound(NotFound):
    """No template has that name."""

    code = "template_not_found"
    hint = "List the templates with GET /v1/meeting-templates."


class TemplateNameTaken(Conflict):
    """A template of that name is there already, built in or made here."""

    code = "template_name_taken"
    hint = "Send another 'name', or delete the existing template first."


class TemplateBuiltIn(Conflict):
    """Templates that come with the server can't be deleted."""

    code = "template_built_in"
    hint = "Create a template of your own with POST /v1/meeting-templates."
