"""The cost of a request line, compared with plain text and with other packages. `make bench` runs everything."""
