"""Packs: Parquet files that keep the lines of logs, one file for each day of a log."""
