"""Waits for messages that outlive the call which began them."""
