"""Waking: idle CLI sessions are told of what arrived."""
