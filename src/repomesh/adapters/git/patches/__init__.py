"""Patches as agents write them: each hunk applies at exactly one place, or the patch is refused.

No line number and no count of a patch is trusted where its context can be checked instead.
"""
