"""Whatever bytes come: nothing breaks but by the one error it may raise, and what was believed can be written again."""
