"""Finds what an abbreviated id stands for."""
