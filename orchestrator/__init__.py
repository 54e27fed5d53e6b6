"""The mind: decides, drives runs, remembers."""
