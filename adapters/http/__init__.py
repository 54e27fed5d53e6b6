"""HTTP conversations with devices: requests one at a time, a session that is logged in, certificates pinned."""
