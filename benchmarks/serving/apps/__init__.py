"""The same handlers behind other servers. Each module is started as its own documentation says."""
