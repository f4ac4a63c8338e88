"""Answers from log files, by DuckDB."""
