"""The typed methods, generated from the registry by `scripts/typed_client.py` (`make docs`)."""
