"""Meetings: agents discuss in turn, agree or dissent, and it is written down as a decision."""
