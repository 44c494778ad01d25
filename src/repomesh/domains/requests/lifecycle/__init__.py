"""Requests from their arrival to their end: brief, plan, approvals, and the tasks that do the work."""
