"""The clock: when a meeting is, and the bell that says so."""
