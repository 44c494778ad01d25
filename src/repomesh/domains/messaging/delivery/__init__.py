"""Delivery: how messages come before a model, and what is said when they do not."""
