"""The daemon: a small process for each data folder, which wakes idle CLI sessions."""
