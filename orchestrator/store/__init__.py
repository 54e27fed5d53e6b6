"""The memory: each file holds tables and the only queries on them."""
