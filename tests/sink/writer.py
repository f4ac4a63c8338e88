"""
Write numbered lines of very different lengths: ``writer.py COUNT NAME [FILE]``; without a file to stdout.

``wait`` for the file is stdout, too, without blocking; then it says on stderr that it waits for a signal.
"""

from __future__ import annotations

import logging
import signal
import sys

from obs_middleware.logs.formatters import JSONFormatter
from obs_middleware.logs.handlers import NonBlockingHandler

LENGTHS = (0, 10, 200, 350, 700, 20, 3500)


def main(count: int, name: str, file: str | None = None) -> None:
    waits = file == "wait"
    handler = NonBlockingHandler(flush_on_sigterm=True) if waits else NonBlockingHandler(file=file, overflow="block")
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level="INFO", handlers=[handler])
    logger = logging.getLogger(name)
    for number in range(count):
        logger.info("x" * LENGTHS[number % len(LENGTHS)], extra={"number": number})
    if waits:
        sys.stderr.write("waiting\n")
        sys.stderr.flush()
        while True:
            signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
