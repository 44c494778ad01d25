"""What one needs to know to work on a task."""
