"""Builds changes on the target branch, and finds out what they touch and risk."""
