"""What runs without being asked: expiry, inactivity, non-delivery notices."""
