"""The demos: agents at work and in a meeting, and whether their stories happened."""
