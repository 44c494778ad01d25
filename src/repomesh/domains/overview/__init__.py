"""What answers from several domains: heartbeat, task context, status."""
