"""What a start does about a database that was lost or damaged, or whose restore was interrupted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from repomesh.kernel.limits import START_CHECK_S
from repomesh.kernel.settings import Settings


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What a start may do about a database that is gone or damaged, because somebody asked for it."""

    new_database: bool = False
    accept_damage: bool = False

    def words(self) -> list[str]:
        """The same as options of the command."""
        return [f"--{name.replace('_', '-')}" for name, is_set in asdict(self).items() if is_set]


DEFAULT = StartOptions()


def prepare_database(
    settings: Settings, options: StartOptions = DEFAULT, *, check: bool = False
) -> tuple[tuple[str, ...], list[str]]:
    """Make the folder's database ready to be opened; answers its damage, and what to tell of its state.

    It is looked over only with `check`, and for START_CHECK_S at most. Raises DatabaseMissing,
    DatabaseExists, Unprotected and DamagedDatabase. A database elsewhere needs none of this.
    """
    if settings.database_url is not None:
        return (), []
    from repomesh.store import opening

    notes = opening.prepare_file(settings.data, begin_anew=options.new_database)
    if not check:
        return (), notes
    damage, found = _damage(settings, options)
    return damage, notes + found


def _damage(settings: Settings, options: StartOptions) -> tuple[tuple[str, ...], list[str]]:
    """What keeps the database from being written to, and what to tell of it."""
    from repomesh.store import backups, folder

    database = settings.data / folder.DATABASE
    if not database.exists():
        return (), []
    found = backups.quick_check(database, START_CHECK_S)
    if not found.complete:
        took = f"The look for damage ended after {START_CHECK_S:g} s"
        return (), [f"{took}; 'repomesh doctor' looks at the whole database."]
    if not found.problems:
        return (), []
    wrong = f"The database is damaged: {'; '.join(found.problems)}."
    if options.accept_damage:
        return (), [f"{wrong} It is written to all the same, as you asked."]
    restore = f"repomesh down; repomesh restore {backups.newest(settings.data) or 'FILE'}"
    advice = f"put a backup back ({restore}) or start with 'repomesh up --accept-damage'"
    return found.problems, [f"{wrong} It is only read: writes are refused until you {advice}."]
