"""The tables of the domain `messaging`."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables of the domain `messaging`."""
