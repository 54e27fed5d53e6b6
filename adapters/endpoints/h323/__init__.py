"""H.323 endpoints without a control session: only their bridge can call them."""
