"""The Asterisk family: its grammar, its verdicts, its session, its adapter."""
