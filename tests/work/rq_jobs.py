"""Jobs that end in different ways, for real workers of RQ."""

import logging
import os
import signal
import sys
import time

from redis import Redis
from rq import Queue, Retry

from obs_middleware import annotate


def good() -> None:
    logging.getLogger("shop").info("working")
    annotate(rows=3)


def bad() -> None:
    raise ValueError("no")


def again() -> Retry:
    return Retry(max=1)


def leaves() -> None:
    sys.exit(3)


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def slow() -> None:
    time.sleep(60)


def parent(port: int) -> None:
    Queue(connection=Redis(port=port)).enqueue(good)
