"""From bytes to where they stay: a stream, a file, or a queue before one of them."""
