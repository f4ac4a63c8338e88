"""How fast a log is read, beside DuckDB alone and beside other readers; `make bench-read` runs it."""
