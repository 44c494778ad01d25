"""Plans all changes of connecting and disconnecting before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import unified_diff
from pathlib import Path

from repomesh.connect import editing, files, records
from repomesh.connect.cli import Cli, ConnectTarget, Http
from repomesh.connect.entries import SettingsEntry, SettingsFile
from repomesh.connect.errors import BrokenSettings, SettingsChanged, UnsuitableSettings
from repomesh.connect.records import ConnectedMarker, FileRecord, SharedSettings
from repomesh.kernel import data_folder


@dataclass(frozen=True, slots=True)
class FileChange:
    """A change of a file: `after` is its new text, None when it is removed."""

    content: files.Content
    after: str | None
    folders: list[str] = field(default_factory=list)
    """Folders to remove with it, if they are empty."""
    of_git: bool = False
    """Whether it is git's exclude file, which several CLIs change."""

    def diff(self) -> str:
        """The change as a unified diff."""
        path, target = str(self.content.path), str(self.content.target)
        before, after = self.content.text, self.after
        if os.path.realpath(self.content.path.parent) != str(self.content.target.parent):
            path = f"{path} -> {target}"  # show where a link leads
        names = ("/dev/null" if before is None else path, "/dev/null" if after is None else path)
        lines = unified_diff((before or "").splitlines(True), (after or "").splitlines(True), *names)
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )


@dataclass(slots=True)
class ConnectPlan:
    """All changes for one CLI."""

    cli: Cli
    data: Path
    state: Path
    marker: ConnectedMarker | None
    shared: SharedSettings
    changes: list[FileChange] = field(default_factory=list)
    known: bool = False
    """Whether the records are up to date already."""

    @property
    def settings(self) -> dict[str, str]:
        """The diffs of the CLI's settings by path, which the user agrees to."""
        return {str(change.content.path): change.diff() for change in self.changes if not change.of_git}

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to change."""
        return self.known and not self.changes


def connect(cli: Cli, place: ConnectTarget, data: Path, agent: str | None) -> ConnectPlan:
    """Plan connecting `cli`; raises BrokenSettings, UnsuitableSettings, ReadOnlySettings."""
    old_marker = records.read_marker(data, cli.name)
    state = records.state_folder(place.home)
    shared = records.read_shared(state, cli.name)
    marker = ConnectedMarker(cli=cli.name, agent=agent, http=place.http is not None)
    if old_marker is not None and (old_marker.agent, old_marker.http) == (agent, marker.http):
        marker.token_id = old_marker.token_id
    plan = ConnectPlan(cli, data, state, marker, SharedSettings(repositories=list(shared.repositories)))
    settings_files = cli.settings(place)
    old_files = old_marker.files if old_marker is not None else {}
    settings_files += _git_exclude_file(
        place, [file for file in settings_files if file.scope == "project"], old_files
    )
    for file in settings_files:
        old_records, new_records = (
            (old_files, marker.files) if file.scope == "project" else (shared.files, plan.shared.files)
        )
        _plan_entries(plan, file, old_records, new_records)
    is_only_user = set(shared.repositories) <= {str(data)}
    possible_paths = _possible_paths(cli, place)
    marker.files |= {
        path: record for path, record in old_files.items() if path not in possible_paths | set(marker.files)
    }
    _plan_unwanted_removals(plan, old_files, marker.files)
    if is_only_user:
        _plan_unwanted_removals(plan, shared.files, plan.shared.files)
    else:
        plan.shared.files |= {
            path: record for path, record in shared.files.items() if path not in plan.shared.files
        }
    if any(file.scope == "user" for file in settings_files) and str(data) not in plan.shared.repositories:
        plan.shared.repositories.append(str(data))
    plan.known = old_marker == marker and shared == plan.shared
    return plan


def disconnect(cli: Cli, place: ConnectTarget, data: Path) -> ConnectPlan:
    """Plan disconnecting `cli`; shared files stay while other repositories use them. Raises as `connect`."""
    marker = records.read_marker(data, cli.name)
    state = records.state_folder(place.home)
    shared = records.read_shared(state, cli.name)
    other_repositories = [repository for repository in shared.repositories if repository != str(data)]
    plan = ConnectPlan(
        cli, data, state, None, SharedSettings(repositories=other_repositories), known=marker is None
    )
    old_files = marker.files if marker is not None else {}
    candidates = cli.settings(place) + _git_exclude_file(place, cli.settings(place), old_files)
    for file in candidates:
        if file.scope == "project":
            _plan_removal(plan, file, old_files.get(str(file.path)))
        elif not other_repositories:
            _plan_removal(plan, file, shared.files.get(str(file.path)))
    _plan_unwanted_removals(plan, old_files, {str(file.path): None for file in candidates})
    if other_repositories:
        plan.shared.files = shared.files
    else:
        _plan_unwanted_removals(plan, shared.files, {str(file.path): None for file in candidates})
    return plan


def require_unchanged(shown: ConnectPlan, now: ConnectPlan) -> ConnectPlan:
    """Return `now` if its changes are those shown to the user; raises SettingsChanged otherwise."""
    if shown.settings != now.settings:
        raise SettingsChanged(f"the settings of {now.cli.title} were changed meanwhile")
    return now


def apply_plan(plan: ConnectPlan) -> None:
    """Apply a plan; if a file can't be written, the others are restored and the error is raised."""
    written: list[FileChange] = []
    try:
        for change in plan.changes:
            files.require_writable(change.content)
        for change in plan.changes:
            files.replace(change.content, change.after)
            written.append(change)
        _write_records(plan)
    except BaseException:
        for change in reversed(written):
            files.replace(files.read(change.content.path), change.content.text)
        raise
    for change in plan.changes:
        if change.after is None:
            files.remove_folders(change.folders)


def _write_records(plan: ConnectPlan) -> None:
    records.write_shared(plan.state, plan.cli.name, plan.shared)
    if plan.marker is not None:
        records.write_marker(plan.data, plan.marker)
    else:
        path = records.marker_path(plan.data, plan.cli.name)
        if path is not None:
            path.unlink(missing_ok=True)
            files.remove_folders([str(path.parent)])


# -- one file --------------------------------------------------------------------------------------


def _plan_entries(
    plan: ConnectPlan,
    file: SettingsFile,
    old_records: dict[str, FileRecord],
    new_records: dict[str, FileRecord],
) -> None:
    """Plan adding the wanted entries to `file`, and record how it was before."""
    content, key = files.read(file.path), str(file.path)
    record = old_records.get(key)
    try:
        if content.text is not None and editing.is_satisfied(file, content.text, plan.cli.name):
            if record is not None:
                new_records[key] = record
            return
        before = _text_without_entries(file, content.text, record, plan.cli.name)
        after = editing.add_entries(file, before or "")
        containers = editing.missing_containers(file, before or "")
    except (BrokenSettings, UnsuitableSettings) as error:
        raise type(error)(f"{file.path}: {error.message}", hint=error.hint, path=key) from None
    files.require_writable(content)
    folders = record.folders if record is not None else files.missing_folders(content)
    new_records[key] = FileRecord(
        made=before is None,
        folders=folders,
        digest=editing.digest(after),
        hunks=editing.hunks(before or "", after),
        containers=containers,
    )
    plan.changes.append(FileChange(content, after, of_git=file.format == "lines"))


def _plan_removal(plan: ConnectPlan, file: SettingsFile, record: FileRecord | None) -> None:
    """Plan removing our entries from `file`."""
    content = files.read(file.path)
    if content.text is None:
        return
    try:
        before = _text_without_entries(file, content.text, record, plan.cli.name)
    except (BrokenSettings, UnsuitableSettings) as error:
        raise type(error)(f"{file.path}: {error.message}", hint=error.hint, path=str(file.path)) from None
    if before != content.text:
        files.require_writable(content)
        folders = record.folders if record is not None else []
        plan.changes.append(FileChange(content, before, folders, of_git=file.format == "lines"))


def _text_without_entries(
    file: SettingsFile, text: str | None, record: FileRecord | None, cli: str
) -> str | None:
    """The file without our entries: as it was before, or with the changes that others made since."""
    if text is None or (record is None and not editing.is_connected(file, text, cli)):
        return text
    if record is not None and record.digest == editing.digest(text):
        before = editing.revert_exactly(text, record.hunks)
        return None if record.made else before
    restored = editing.revert_by_text(text, record.hunks) if record is not None else None
    if restored is None or not _is_clean(file, restored, cli):
        restored = editing.remove_entries(file, text, cli, record.containers if record is not None else None)
    is_removable = (record is not None and record.made) or (file.whole and restored != text)
    return None if is_removable and editing.is_empty(file, restored) else restored


def _is_clean(file: SettingsFile, text: str, cli: str) -> bool:
    """Whether a text is valid and holds none of our entries."""
    try:
        return editing.remove_entries(file, text, cli, None) == text
    except (BrokenSettings, UnsuitableSettings):
        return False


# -- files that are no longer wanted ---------------------------------------------------------------


def _possible_paths(cli: Cli, place: ConnectTarget) -> set[str]:
    """The paths of all files that either way of connecting may change in this work tree."""
    http = Http("http://localhost", Path("token"), Path("headers"))
    targets = (replace(place, http=None), replace(place, http=http))
    return {str(file.path) for target in targets for file in cli.settings(target)}


def _plan_unwanted_removals(
    plan: ConnectPlan, old: dict[str, FileRecord], wanted_paths: Iterable[str]
) -> None:
    """Plan removing our entries from files that were connected before and are no longer wanted."""
    for path in set(old) - set(wanted_paths):
        _plan_removal(plan, _settings_file_at(plan.cli, Path(path)), old[path])


def _settings_file_at(cli: Cli, path: Path) -> SettingsFile:
    """The file at `path` with all entries that the CLI may have there, for removing them."""
    if path.name == "exclude":
        return SettingsFile(path, "lines", "project", ())
    place = ConnectTarget(path.parent, Path.home(), os.environ)
    wants = tuple(want for file in cli.settings(place) for want in file.wants)
    return SettingsFile(path, "toml" if path.suffix == ".toml" else "json", "project", wants)


# -- git's exclude file ----------------------------------------------------------------------------


def _git_exclude_file(
    place: ConnectTarget, project_files: Sequence[SettingsFile], old_files: dict[str, FileRecord]
) -> list[SettingsFile]:
    """The exclude file that makes git ignore new project files, which name programs of this machine."""
    exclude = data_folder.git_path(place.root, "info/exclude")
    new_files = [
        file
        for file in project_files
        if file.scope == "project"
        and (not file.path.exists() or (str(file.path) in old_files and old_files[str(file.path)].made))
    ]
    if exclude is None or not new_files:
        return []
    lines = tuple(SettingsEntry(("line",), f"/{file.path.relative_to(place.root)}") for file in new_files)
    return [SettingsFile(exclude, "lines", "project", lines)]
