"""Bridges without a control interface: only their dial string is known."""
