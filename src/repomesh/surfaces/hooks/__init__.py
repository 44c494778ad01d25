"""The hooks surface: reports of agent CLIs about their sessions, and the replies."""
