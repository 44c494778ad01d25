"""The typed async client, over HTTP."""
