"""
Test what your site logs: `capture_requests`, and the pytest fixture ``captured_requests``.

The lines are rendered as JSON and parsed again, strictly. So your test sees what a log shipper would see, whatever your
``LOGGING`` says.
"""

from __future__ import annotations

from importlib.util import find_spec

from obs_middleware.logs.capture import CapturedRequest, CapturedRequests, capture_requests, parse_line

__all__ = ["CapturedRequest", "CapturedRequests", "capture_requests", "parse_line"]

if find_spec("pytest") is not None:  # only the fixture needs it
    from obs_middleware.pytest_plugin import captured_requests

    __all__ += ["captured_requests"]
