"""Messages, receipts, channels, reactions, reviews and free events."""
