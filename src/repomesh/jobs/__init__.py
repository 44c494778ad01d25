"""What the server does without being asked: due work, jobs, and what follows a call."""
