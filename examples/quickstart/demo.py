"""Start the shop under uvicorn, send traffic for a few seconds, then show its log and write a report."""

import http.client
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

SHOP = Path(__file__).resolve().parent
HOST = "127.0.0.1"
VISITORS = 6
SECONDS = 3.5
START_SECONDS = 30
STOP_SECONDS = 10

BASKET = "cart=C-1042&item=teapot&item=assam-tea&item=tea-strainer"
VISIT = [
    ("GET", "/"),
    ("GET", "/products/"),
    ("GET", "/products/teapot/"),
    ("GET", "/search/?q=tea"),
    ("GET", "/products/samovar/"),
    ("GET", "/products/assam-tea/"),
    ("POST", "/checkout/"),
    ("GET", "/catalogue/"),
    ("GET", "/export.csv"),
    ("GET", "/healthz"),
    ("GET", "/report/"),
]


class Answer(NamedTuple):
    path: str
    status: int
    request_id: str


def main(page: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="shop-") as name:
        directory = Path(name)
        log = directory / "shop.log"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "SHOP_DATABASE": str(directory / "db.sqlite3"),
            "SHOP_LOG_FILE": str(log),
            "SHOP_LOG_FORMAT": "json",
        }
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=SHOP, env=environment, check=True)
        with running_server(directory / "server.txt", environment) as port:
            print(f"The shop runs: uvicorn shop.asgi:application, port {port}.")
            print(f"{VISITORS} visitors at once for {SECONDS} seconds ...")
            with ThreadPoolExecutor(VISITORS) as visitors:
                until = time.monotonic() + SECONDS
                visits = [visitors.submit(browse, port, number, until) for number in range(VISITORS)]
                answers = [answer for visit in visits for answer in visit.result()]
        return show(log, answers, page)


@contextmanager
def running_server(output: Path, environment: dict[str, str]) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "shop.asgi:application", "--host", HOST, "--port", str(port)]
    with (
        output.open("w") as file,
        subprocess.Popen(command, cwd=SHOP, env=environment, stdout=file, stderr=subprocess.STDOUT) as server,
    ):
        try:
            wait_until_open(server, port, output)
            yield port
        finally:
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until_open(server: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            pass
        try:
            server.wait(0.05)  # the pause before the next try; it ends early if the server dies
            break
        except subprocess.TimeoutExpired:
            pass
    raise SystemExit(f"The server did not start:\n{output.read_text()}")


def browse(port: int, number: int, until: float) -> list[Answer]:
    answers = []
    with closing(http.client.HTTPConnection(HOST, port, timeout=10)) as connection:
        for method, path in itertools.islice(itertools.cycle(VISIT), number, None):
            if time.monotonic() > until:
                break
            if method == "POST":
                connection.request(method, path, BASKET, {"Content-Type": "application/x-www-form-urlencoded"})
            else:
                connection.request(method, path)
            response = connection.getresponse()
            response.read()
            answers.append(Answer(path, response.status, response.headers["X-Request-ID"]))
    return answers


def show(log: Path, answers: list[Answer], page: Path) -> int:
    matching = int(grep(log, "-c", "Request took"))
    statuses = sorted(Counter(answer.status for answer in answers).items())
    heading("One line per request")
    print(f"{len(answers):6} requests sent: {', '.join(f'{count} x {status}' for status, count in statuses)}")
    print(f"{matching:6} request lines written")
    if matching != len(answers):
        print("The two numbers differ; they must be equal.", file=sys.stderr)
        return 1

    ids = {answer.path: answer.request_id for answer in reversed(answers)}  # of the first visit to each path
    heading("Lines of a slow search, a missing page and a streamed file")
    for path in ("/search/?q=tea", "/products/samovar/", "/export.csv"):
        print(grep(log, ids[path]), end="")

    heading("The same lines are text: grep -m 5 'Request took' shop.log")
    print(grep(log, "-m", "5", "Request took"), end="")
    print(f"... {matching} lines match.")

    heading(f"All lines of one checkout: grep {ids['/checkout/']} shop.log")
    print(grep(log, ids["/checkout/"]), end="")

    heading("From lines to percentiles: obs-middleware stats shop.log")
    read("stats", str(log))
    heading(f"The same as a page to open in a browser: obs-middleware report shop.log -o {page}")
    read("report", str(log), "-o", str(page))
    return 0


def read(*arguments: str) -> None:
    sys.stdout.flush()
    subprocess.run([sys.executable, "-m", "obs_middleware", *arguments], check=True)


def heading(text: str) -> None:
    print(f"\n== {text}")


def grep(log: Path, *arguments: str) -> str:
    return subprocess.run(["grep", *arguments, log], check=False, stdout=subprocess.PIPE, encoding="utf-8").stdout


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "report.html")))
