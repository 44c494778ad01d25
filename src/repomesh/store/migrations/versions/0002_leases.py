"""The tables of the domain `leases`."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of the domain `leases`."""
