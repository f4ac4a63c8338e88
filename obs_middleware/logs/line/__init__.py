"""From a log record to one line of text."""
