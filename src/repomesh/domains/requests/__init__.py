"""Requests: work that somebody asks for, planned as tasks that own their files."""
