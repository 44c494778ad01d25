"""What connecting and disconnecting would change, worked out whole before anything is written."""

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
    """A file that becomes another: `after` is its text, None when it goes."""

    content: files.Content
    after: str | None
    folders: list[str] = field(default_factory=list)
    """Those to remove with it, if they are empty."""
    of_git: bool = False
    """Whether it is what git is to ignore, which several CLIs change."""

    def diff(self) -> str:
        """The change for a person to read."""
        path, target = str(self.content.path), str(self.content.target)
        before, after = self.content.text, self.after
        if os.path.realpath(self.content.path.parent) != str(self.content.target.parent):
            path = f"{path} -> {target}"  # a link of somebody else's may lead anywhere
        names = ("/dev/null" if before is None else path, "/dev/null" if after is None else path)
        lines = unified_diff((before or "").splitlines(True), (after or "").splitlines(True), *names)
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
        )


@dataclass(slots=True)
class ConnectPlan:
    """All that is to be done for one CLI."""

    cli: Cli
    data: Path
    state: Path
    marker: ConnectedMarker | None
    shared: SharedSettings
    changes: list[FileChange] = field(default_factory=list)
    known: bool = False
    """Whether the marker is there and says the same already."""

    @property
    def settings(self) -> dict[str, str]:
        """The changes of the CLI's settings by path, for a person to agree to."""
        return {str(change.content.path): change.diff() for change in self.changes if not change.of_git}

    @property
    def nothing(self) -> bool:
        """Whether all is as it should be."""
        return self.known and not self.changes


def connect(cli: Cli, place: ConnectTarget, data: Path, agent: str | None) -> ConnectPlan:
    """What connects `cli`; raises BrokenSettings, UnsuitableSettings, ReadOnlySettings."""
    before = records.read_marker(data, cli.name)
    state = records.state_folder(place.home)
    shared = records.read_shared(state, cli.name)
    marker = ConnectedMarker(cli=cli.name, agent=agent, http=place.http is not None)
    if before is not None and (before.agent, before.http) == (agent, marker.http):
        marker.token_id = before.token_id
    plan = ConnectPlan(cli, data, state, marker, SharedSettings(repositories=list(shared.repositories)))
    wanted = cli.settings(place)
    old = before.files if before is not None else {}
    wanted += _ignored(place, [file for file in wanted if file.scope == "project"], old)
    for file in wanted:
        kept, remembered = (
            (old, marker.files) if file.scope == "project" else (shared.files, plan.shared.files)
        )
        _join(plan, file, kept, remembered)
    alone = set(shared.repositories) <= {str(data)}
    here = _possible(cli, place)
    marker.files |= {path: kept for path, kept in old.items() if path not in here | set(marker.files)}
    _leave_rest(plan, old, marker.files)
    if alone:
        _leave_rest(plan, shared.files, plan.shared.files)
    else:
        plan.shared.files |= {
            path: kept for path, kept in shared.files.items() if path not in plan.shared.files
        }
    if any(file.scope == "user" for file in wanted) and str(data) not in plan.shared.repositories:
        plan.shared.repositories.append(str(data))
    plan.known = before == marker and shared == plan.shared
    return plan


def disconnect(cli: Cli, place: ConnectTarget, data: Path) -> ConnectPlan:
    """What takes `cli` out again; shared files stay while another repository needs them."""
    marker = records.read_marker(data, cli.name)
    state = records.state_folder(place.home)
    shared = records.read_shared(state, cli.name)
    rest = [one for one in shared.repositories if one != str(data)]
    plan = ConnectPlan(cli, data, state, None, SharedSettings(repositories=rest), known=marker is None)
    old = marker.files if marker is not None else {}
    candidates = cli.settings(place) + _ignored(place, cli.settings(place), old)
    for file in candidates:
        if file.scope == "project":
            _part(plan, file, old.get(str(file.path)))
        elif not rest:
            _part(plan, file, shared.files.get(str(file.path)))
    _leave_rest(plan, old, {str(file.path): None for file in candidates})
    if rest:
        plan.shared.files = shared.files
    else:
        _leave_rest(plan, shared.files, {str(file.path): None for file in candidates})
    return plan


def unchanged(shown: ConnectPlan, now: ConnectPlan) -> ConnectPlan:
    """`now`, if it changes what a person agreed to in `shown`; raises SettingsChanged."""
    if shown.settings != now.settings:
        raise SettingsChanged(f"the settings of {now.cli.title} were changed meanwhile")
    return now


def carry_out(plan: ConnectPlan) -> None:
    """Do it; when a file can't be written those that were are put back, and the error is raised."""
    done: list[FileChange] = []
    try:
        for change in plan.changes:
            files.require_writable(change.content)
        for change in plan.changes:
            files.replace(change.content, change.after)
            done.append(change)
        _remember(plan)
    except BaseException:
        for change in reversed(done):
            files.replace(files.read(change.content.path), change.content.text)
        raise
    for change in plan.changes:
        if change.after is None:
            files.remove_folders(change.folders)


def _remember(plan: ConnectPlan) -> None:
    records.write_shared(plan.state, plan.cli.name, plan.shared)
    if plan.marker is not None:
        records.write_marker(plan.data, plan.marker)
    else:
        path = records.marker_path(plan.data, plan.cli.name)
        if path is not None:
            path.unlink(missing_ok=True)
            files.remove_folders([str(path.parent)])


# -- one file --------------------------------------------------------------------------------------


def _join(
    plan: ConnectPlan, file: SettingsFile, old: dict[str, FileRecord], remembered: dict[str, FileRecord]
) -> None:
    """Plan that `file` holds what is wanted, and remember how it got there."""
    content, key = files.read(file.path), str(file.path)
    record = old.get(key)
    try:
        if content.text is not None and editing.satisfied(file, content.text, plan.cli.name):
            if record is not None:
                remembered[key] = record
            return
        before = _before(file, content.text, record, plan.cli.name)
        after = editing.applied(file, before or "")
        made = editing.containers(file, before or "")
    except (BrokenSettings, UnsuitableSettings) as error:
        raise type(error)(f"{file.path}: {error.message}", hint=error.hint, path=key) from None
    files.require_writable(content)
    folders = record.folders if record is not None else files.missing_folders(content)
    remembered[key] = FileRecord(
        made=before is None,
        folders=folders,
        digest=editing.digest(after),
        hunks=editing.hunks(before or "", after),
        containers=made,
    )
    plan.changes.append(FileChange(content, after, of_git=file.format == "lines"))


def _part(plan: ConnectPlan, file: SettingsFile, record: FileRecord | None) -> None:
    """Plan that `file` holds nothing of ours."""
    content = files.read(file.path)
    if content.text is None:
        return
    try:
        before = _before(file, content.text, record, plan.cli.name)
    except (BrokenSettings, UnsuitableSettings) as error:
        raise type(error)(f"{file.path}: {error.message}", hint=error.hint, path=str(file.path)) from None
    if before != content.text:
        files.require_writable(content)
        folders = record.folders if record is not None else []
        plan.changes.append(FileChange(content, before, folders, of_git=file.format == "lines"))


def _before(file: SettingsFile, text: str | None, record: FileRecord | None, cli: str) -> str | None:
    """The file without us: as it was when nobody touched it since, else with what others did to it."""
    if text is None or (record is None and not editing.is_there(file, text, cli)):
        return text
    if record is not None and record.digest == editing.digest(text):
        before = editing.exactly_before(text, record.hunks)
        return None if record.made else before
    rough = editing.roughly_before(text, record.hunks) if record is not None else None
    if rough is None or not _clean(file, rough, cli):
        rough = editing.stripped(file, text, cli, record.containers if record is not None else None)
    gone = (record is not None and record.made) or (file.whole and rough != text)
    return None if gone and editing.is_empty(file, rough) else rough


def _clean(file: SettingsFile, text: str, cli: str) -> bool:
    """Whether a text can be read and holds nothing of ours."""
    try:
        return editing.stripped(file, text, cli, None) == text
    except (BrokenSettings, UnsuitableSettings):
        return False


# -- files that are no longer wanted ---------------------------------------------------------------


def _possible(cli: Cli, place: ConnectTarget) -> set[str]:
    """Every file that may be wanted in this work tree, in one way of connecting or another."""
    other = Http("http://localhost", Path("token"), Path("headers"))
    ways = (replace(place, http=None), replace(place, http=other))
    return {str(file.path) for way in ways for file in cli.settings(way)}


def _leave_rest(plan: ConnectPlan, old: dict[str, FileRecord], wanted: Iterable[str]) -> None:
    """Take us out of the files that were connected once and are not meant any more."""
    for path in set(old) - set(wanted):
        _part(plan, _described(plan.cli, Path(path)), old[path])


def _described(cli: Cli, path: Path) -> SettingsFile:
    """The file at `path`, for taking entries out: what could be wanted there, in any of the CLI's ways."""
    if path.name == "exclude":
        return SettingsFile(path, "lines", "project", ())
    place = ConnectTarget(path.parent, Path.home(), os.environ)
    wants = tuple(want for file in cli.settings(place) for want in file.wants)
    return SettingsFile(path, "toml" if path.suffix == ".toml" else "json", "project", wants)


# -- what git is to ignore -------------------------------------------------------------------------


def _ignored(
    place: ConnectTarget, wanted: Sequence[SettingsFile], old: dict[str, FileRecord]
) -> list[SettingsFile]:
    """Have git leave out what connect makes in the project: it names programs of this machine."""
    exclude = data_folder.git_path(place.root, "info/exclude")
    made = [
        file
        for file in wanted
        if file.scope == "project"
        and (not file.path.exists() or (str(file.path) in old and old[str(file.path)].made))
    ]
    if exclude is None or not made:
        return []
    lines = tuple(SettingsEntry(("line",), f"/{file.path.relative_to(place.root)}") for file in made)
    return [SettingsFile(exclude, "lines", "project", lines)]
