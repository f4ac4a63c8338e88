"""Measure work that is not a request, and follow the work that a request causes elsewhere."""
