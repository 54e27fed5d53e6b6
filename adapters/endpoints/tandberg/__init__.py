"""TANDBERG MXP (F-series software), driven over telnet."""
