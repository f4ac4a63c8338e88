"""
Run a command, and print what it took: ``python -m benchmarks.reading.launch COMMAND``.

The kernel counts the memory of the process that starts a command as memory of the command. This one has 10 MB.
"""

import json
import os
import subprocess
import sys
import time


def main(command: list[str]) -> int:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    figures = {
        "wall_seconds": round(wall, 4),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 4),
        "memory_bytes": used.ru_maxrss << 10,
    }
    print(json.dumps(figures))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
