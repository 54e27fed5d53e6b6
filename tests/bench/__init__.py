"""How fast and how big: `python -m tests.bench` (docs/bench.md says what each line means)."""
