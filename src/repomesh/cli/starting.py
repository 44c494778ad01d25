"""Prepares the database for a start: lost or damaged databases, and interrupted restores."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from repomesh.kernel.limits import START_CHECK_S
from repomesh.kernel.settings import Settings


@dataclass(frozen=True, slots=True)
class StartOptions:
    """Options of `up` for a lost or damaged database."""

    new_database: bool = False
    accept_damage: bool = False

    def as_options(self) -> list[str]:
        """Return the set options as arguments of `repomesh up`."""
        return [f"--{name.replace('_', '-')}" for name, is_set in asdict(self).items() if is_set]


DEFAULT = StartOptions()


def prepare_database(
    settings: Settings, options: StartOptions = DEFAULT, *, check: bool = False
) -> tuple[tuple[str, ...], list[str]]:
    """Make the folder's database ready to be opened; returns its damage, and notes to print.

    The damage is looked for only with `check`, for START_CHECK_S at most. A database outside of the folder is
    left alone. Raises DatabaseMissing, DatabaseExists, Unprotected and DamagedDatabase.
    """
    if settings.database_url is not None:
        return (), []
    from repomesh.store import opening

    notes = opening.prepare_file(settings.data, begin_anew=options.new_database)
    if not check:
        return (), notes
    damage, damage_notes = _check_damage(settings, options)
    return damage, notes + damage_notes


def _check_damage(settings: Settings, options: StartOptions) -> tuple[tuple[str, ...], list[str]]:
    """Look for damage; returns the problems that forbid writing, and notes to print."""
    from repomesh.store import backups, folder

    database = settings.data / folder.DATABASE
    if not database.exists():
        return (), []
    result = backups.quick_check(database, START_CHECK_S)
    if not result.complete:
        timed_out = f"The look for damage ended after {START_CHECK_S:g} s"
        return (), [f"{timed_out}; 'repomesh doctor' looks at the whole database."]
    if not result.problems:
        return (), []
    problem = f"The database is damaged: {'; '.join(result.problems)}."
    if options.accept_damage:
        return (), [f"{problem} It is written to all the same, as you asked."]
    restore_command = f"repomesh down; repomesh restore {backups.newest(settings.data) or 'FILE'}"
    advice = f"put a backup back ({restore_command}) or start with 'repomesh up --accept-damage'"
    return result.problems, [f"{problem} It is only read: writes are refused until you {advice}."]
