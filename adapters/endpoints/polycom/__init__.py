"""Polycom HDX and RealPresence Group, driven over telnet 24 or SSH."""
