"""Work that somebody holds for a while: one primitive for locks, claims and queues."""
