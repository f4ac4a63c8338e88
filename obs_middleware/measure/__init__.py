"""Measure what happens in a request. Imports nothing of the other wings."""
