"""A person's inbox: what needs somebody, the most urgent first."""
