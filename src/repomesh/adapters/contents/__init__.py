"""Where large contents lie: the data folder, or a shared database. The port is in `kernel.ports`."""
