"""What stands against connecting an agent CLI. Nothing was changed when one of these is raised."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, InvalidRequest, NotFound


class UnknownCli(NotFound):
    """There is no agent CLI of this name that connect knows."""

    code = "unknown_cli"
    hint = "It knows claude, codex, gemini, copilot, qwen and opencode. Any other joins with 'repomesh mcp'."


class NoCliInstalled(NotFound):
    """None of the agent CLIs that connect knows was found on the search path."""

    code = "no_cli_installed"
    hint = "Install one, or name it: 'repomesh connect claude' writes its settings in any case."


class BrokenSettings(InvalidRequest):
    """A settings file of an agent CLI can't be read as what it should be; it was left alone."""

    code = "broken_settings"
    hint = "Mend the named place, then run the command again."


class UnsuitableSettings(Conflict):
    """A settings file holds something else where an entry of ours belongs; it was left alone."""

    code = "unsuitable_settings"
    hint = "Change that place by hand, or remove it, then run the command again."


class ReadOnlySettings(Conflict):
    """A settings file, or its folder, may not be written; it was left alone."""

    code = "read_only_settings"
    hint = "Make it writable with 'chmod u+w', or write the entries by hand: '--dry-run' shows them."


class SettingsChanged(Conflict):
    """A settings file changed between the reading and the writing; nothing was written."""

    code = "settings_changed"
    hint = "Run the command again; a running agent CLI may have written it."


class NoRepository(InvalidRequest):
    """The guard belongs into a git repository, and here is none."""

    code = "no_repository"
    hint = "Go into the repository, then run the command again."


class HookInTheWay(Conflict):
    """A git hook stands where one that was set aside belongs."""

    code = "hook_in_the_way"
    hint = "Keep one of the two: join them by hand, or remove the one that is no longer needed."


class GitRefused(InvalidRequest):
    """Git refuses to tell what is changed."""

    code = "git_refused"
    hint = "Do what git says."
