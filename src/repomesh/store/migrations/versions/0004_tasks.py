"""The tables of the domain `tasks`."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables of the domain `tasks`."""
