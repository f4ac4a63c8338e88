"""Draw docs/images/console.svg: what a terminal shows of `manage.py runserver`, from a real run of the shop."""

import fcntl
import http.client
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import closing
from pathlib import Path

from demo import BASKET, HOST, SHOP, START_SECONDS, STOP_SECONDS, free_port, running_search, wait_until_open
from rich.console import Console
from rich.text import Text

ROOT = SHOP.parent.parent
COLUMNS, LINES = 100, 50
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VISIT = [
    ("GET", "/", None),
    ("GET", "/products/", None),
    ("GET", "/products/assam-tea/", None),
    ("POST", "/checkout/", BASKET),
    ("GET", "/search/?q=tea", None),
    ("GET", "/catalogue/", None),
    ("GET", "/products/samovar/", None),
    ("GET", "/report/", None),
]
LAST = b"ZeroDivisionError\x1b[0m: division by zero"
SETTINGS = """
from shop.settings import *

LOGGING["loggers"]["celery.app.trace"] = {"level": "WARNING"}  # tasks run in the request here
OBS_MIDDLEWARE = {"SLOW_SECONDS": 0.25}
"""


def main(picture: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="shop-") as name, running_search() as search:
        Path(name, "picture_settings.py").write_text(SETTINGS)
        environment = {
            **{key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}},
            "DJANGO_SETTINGS_MODULE": "picture_settings",
            "PYTHONPATH": name,
            "SHOP_DATABASE": str(Path(name, "db.sqlite3")),
            "SHOP_LOG_FORMAT": "auto",
            "SHOP_SEARCH": search,
            "TERM": "xterm-256color",
        }
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=SHOP, env=environment, check=True)
        shown = serve(environment, Path(name, "terminal.txt"))
    picture.write_text(drawn(shown))
    print(f"{picture} shows {len(VISIT)} requests.")


def serve(environment: dict[str, str], output: Path) -> str:
    """Return what `runserver` writes to a terminal while the requests are sent."""
    port = free_port()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"{HOST}:{port}"]
    with subprocess.Popen(command, cwd=SHOP, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as server:
        os.close(theirs)
        reader = threading.Thread(target=copy, args=(ours, output))
        reader.start()
        try:
            wait_until_open(server, port, output)
            with closing(http.client.HTTPConnection(HOST, port, timeout=10)) as connection:
                for method, path, body in VISIT:
                    connection.request(method, path, body, FORM if body else {})
                    connection.getresponse().read()
            wait_for(LAST, output)
        finally:
            server.terminate()
            server.wait(STOP_SECONDS)
            reader.join()
            os.close(ours)
    return output.read_text()


def copy(terminal: int, output: Path) -> None:
    with output.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(os.read(terminal, 65_536))
            except OSError:  # the server has ended
                return


def wait_for(text: bytes, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while text not in output.read_bytes():
        if time.monotonic() > deadline:
            raise SystemExit(f"A row is missing:\n{output.read_text()}")
        time.sleep(0.05)


def drawn(shown: str) -> str:
    """Return the rows of *shown* as a picture, without the greeting of runserver and the paths of this machine."""
    text = shown.replace("\r\n", "\n").replace(f"{ROOT}/", "").replace(f"{sys.prefix}/", ".venv/")
    rows = text[re.search(r"^(?:\x1b\[2m)?\d\d:\d\d:\d\d", text, re.MULTILINE).start() :]  # type: ignore[union-attr]
    console = Console(record=True, file=io.StringIO(), force_terminal=True, width=COLUMNS, legacy_windows=False)
    console.print(Text.from_ansi(rows.rstrip("\n")), highlight=False)
    svg = console.export_svg(title="python manage.py runserver", unique_id="console")
    # A picture in a README may load nothing, so these fonts would never be found.
    svg = re.sub(r"\s*(?:@font-face \{.*?\}|<!-- .*? -->)", "", svg, flags=re.DOTALL)
    return sized(svg)


def sized(svg: str) -> str:
    """Return *svg* with a width and a height. Without them a cell of a table shows a thumbnail."""
    return re.sub(r'(viewBox="0 0 ([\d.]+) ([\d.]+)")', r'\1 width="\2" height="\3"', svg, count=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "console.svg")
