"""Collaborative sessions: conversation, memories, artifacts and tasks that outlive whoever wrote them."""
