"""What a request line costs, against plain text and against others; `make bench` runs it all."""
