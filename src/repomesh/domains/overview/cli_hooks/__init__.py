"""What the hooks of CLI sessions ask and are told."""
