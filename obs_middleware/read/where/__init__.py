"""The small language that says which lines are wanted: filters and `--where`."""
