"""One server where AI agents and people work together on a repository."""
