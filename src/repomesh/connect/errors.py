"""What stands against connecting an agent CLI. Nothing was changed when one of these is raised."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, InvalidRequest, NotFound


class UnknownCli(NotFound):
    """connect supports no agent CLI of this name."""

    code = "unknown_cli"
    hint = "It knows claude, codex, gemini, copilot, qwen and opencode. Any other joins with 'repomesh mcp'."


class NoCliInstalled(NotFound):
    """None of the agent CLIs that connect knows was found on the search path."""

    code = "no_cli_installed"
    hint = "Install one, or name it: 'repomesh connect claude' writes its settings in any case."


class BrokenSettings(InvalidRequest):
    """A settings file of an agent CLI can't be parsed; it was left unchanged."""

    code = "broken_settings"
    hint = "Correct the named line of the settings file; 'repomesh doctor' reads it again."


class UnsuitableSettings(Conflict):
    """A settings file has other content where repomesh writes its entry; it was left unchanged."""

    code = "unsuitable_settings"
    hint = "Correct or remove the named entry of the settings file, then run 'repomesh connect' again."


class ReadOnlySettings(Conflict):
    """A settings file, or its folder, is not writable; it was left unchanged."""

    code = "read_only_settings"
    hint = "Make it writable with 'chmod u+w', or write the entries by hand: '--dry-run' shows them."


class SettingsChanged(Conflict):
    """A settings file changed between the reading and the writing; nothing was written."""

    code = "settings_changed"
    hint = "Run 'repomesh connect' again; a running agent CLI may have written the file."


class NoRepository(InvalidRequest):
    """The command needs a git repository, and this folder is in none."""

    code = "no_repository"
    hint = "Change into the repository with 'cd', then run the command again."


class HookInTheWay(Conflict):
    """Another git hook is in the place of one that was set aside."""

    code = "hook_in_the_way"
    hint = "Merge the two hooks by hand, or remove the unused one with 'rm'."


class GitRefused(InvalidRequest):
    """Git refuses to list the changes."""

    code = "git_refused"
    hint = "Follow git's message above; 'git status' shows the state of the repository."


class TrackedHook(Conflict):
    """A git hook is one of the repository's own files, which the guard does not edit."""

    code = "tracked_hook"
    hint = (
        "Add these lines to it, and commit them: "
        '\'if command -v repomesh >/dev/null; then repomesh guard check --hook NAME -- "$@"; '
        "[ $? -ne 4 ] || exit 1; fi', with the hook's NAME."
    )


class UnusableHooksPath(Conflict):
    """Git finds no hooks at the path in core.hooksPath."""

    code = "unusable_hooks_path"
    hint = (
        "Use git's own folder of hooks: 'git config --unset core.hooksPath'. Or give the whole path of a "
        "folder: a relative one begins at each work tree, and in a linked one '.git' is a file."
    )


class SharedHooks(Conflict):
    """Git's hooks are in a folder that other repositories use, too."""

    code = "shared_hooks"
    hint = (
        "Give this repository hooks of its own: 'git config core.hooksPath FOLDER', with a whole path, as "
        "that of .git/hooks. Or use --shared: they check nothing in repositories without the guard."
    )


class OutsideRepository(InvalidRequest):
    """A path that is to be checked lies outside of the repository."""

    code = "outside_repository"
    hint = "Name paths from the root of the repository, such as 'src/app.py'."
