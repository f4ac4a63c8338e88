"""
The plugin for pytest, with the fixture `captured_requests`.

pytest imports it at the start of every run in an environment that has the package, also in projects that never use it.
So it imports the rest of the package only in a test that uses the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from obs_middleware.logs.capture import CapturedRequests

__all__ = ["captured_requests"]


@pytest.fixture
def captured_requests() -> Iterator[CapturedRequests]:
    """Collect the request lines of the whole test, as `obs_middleware.testing.capture_requests` does."""
    from obs_middleware.logs.capture import capture_requests  # noqa: PLC0415 -- see above

    with capture_requests() as captured:
        yield captured
