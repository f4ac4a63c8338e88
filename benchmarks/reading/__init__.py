"""How fast logs are read, compared with plain DuckDB and with other programs. `make bench-read` runs it."""
