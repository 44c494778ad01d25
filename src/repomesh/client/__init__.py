"""The typed async client over HTTP: `repomesh.client.client.Client`, and how it finds its server."""
