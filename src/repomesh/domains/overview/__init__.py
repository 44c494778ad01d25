"""Operations that answer from several domains: heartbeat, task context, briefing, hooks, search."""
