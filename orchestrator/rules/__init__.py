"""The judgement: pure rules, with no I/O, no clock and no database."""
