"""
`Remembered`: the one cache of the package.

Measure, a leaf. Clients choose many of the texts that are looked up: names in a query, addresses, hosts. So a cache has
a limit in bytes, and it forgets old texts rather than refuse new ones: after a flood of junk it soon works as before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["LONGEST", "MOST", "Remembered"]

_Value = TypeVar("_Value")

MOST: Final = 2_000
LONGEST: Final = 100
"""Characters of a text that is remembered. With `MOST` texts of this length, a cache has 1.3 MB at most."""


class Remembered(dict[str, _Value]):
    """
    A dict of what is known about the latest 2,000 texts; a text of more than 100 characters is not kept.

    With a *function*, ``remembered[text]`` calls it for a text that is not known, and costs no call for one that is.
    ``remembered(text)`` does the same, so that it can take the place of the function.

    Args:
        function: Returns the value for a text, a small one.
    """

    def __init__(self, function: Callable[[str], _Value] | None = None) -> None:
        super().__init__()
        self._function = function
        self._order: deque[str] = deque()

    __call__ = dict.__getitem__

    def __missing__(self, text: str) -> _Value:
        if self._function is None:
            raise KeyError(text)
        value = self._function(text)
        self.remember(text, value)
        return value

    def remember(self, text: str, value: _Value) -> None:
        """Keep *value* for *text*, and forget the oldest text if there are too many. Other entries stay for good."""
        if len(text) <= LONGEST:
            self[text] = value
            self._order.append(text)
            if len(self._order) > MOST:
                # Another thread may have remembered, and so forgotten, the same text.
                self.pop(self._order.popleft(), None)
