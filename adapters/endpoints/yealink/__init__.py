"""Yealink VC rooms, driven over their text API on TCP 6024."""
