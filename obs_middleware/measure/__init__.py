"""Measure: what happened in this request? Imports nothing of the other wings."""
