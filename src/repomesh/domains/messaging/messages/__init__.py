"""Messages: sending, reading, receipts and reactions."""
