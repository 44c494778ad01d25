"""Merges files that git could not, by what their contents mean. What is not certain stays a conflict.

Each way takes the texts of the common base and of both sides. Its result must parse, keep what either side
added or changed, and hold nothing twice; else it raises NotMergeable with the reason.
"""
