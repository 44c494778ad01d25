"""Code reviews: a thread about a change, which ends when every reviewer approves."""
