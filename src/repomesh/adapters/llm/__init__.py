"""Language models over OpenAI-compatible endpoints. The ports are in `kernel.ports`."""
