"""Exit codes."""

OK, FAILED, USAGE, SKIPPED = 0, 1, 2, 3
