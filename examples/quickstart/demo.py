"""Start the shop under uvicorn, send traffic for a few seconds, then show its log and write a report."""

import http.client
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
    ("GET", "/invoice/"),
    ("GET", "/export.csv"),
    ("GET", "/healthz"),
    ("GET", "/report/"),
]


class Answer(NamedTuple):
    path: str
    status: int
    request_id: str


def main(page: Path, visitors: int = VISITORS, seconds: float = SECONDS) -> int:
    with tempfile.TemporaryDirectory(prefix="shop-") as name, running_search() as search:
        directory = Path(name)
        log = directory / "shop.log"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "SHOP_DATABASE": str(directory / "db.sqlite3"),
            "SHOP_LOG_FILE": str(log),
            "SHOP_LOG_FORMAT": "json",
            "SHOP_QUEUE": str(directory / "queue"),
            "SHOP_SEARCH": search,
        }
        (directory / "queue").mkdir()
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=SHOP, env=environment, check=True)
        with (
            running_worker(log, directory / "worker.txt", environment),
            running_server(directory / "server.txt", environment) as port,
        ):
            print(f"The shop runs: uvicorn shop.asgi:application, port {port}.")
            print("Its worker runs: celery -A shop worker.")
            print(f"{visitors} visitors at once for {seconds} seconds ...")
            with ThreadPoolExecutor(visitors) as pool:
                until = time.monotonic() + seconds
                visits = [pool.submit(browse, port, number, until) for number in range(visitors)]
                answers = [answer for visit in visits for answer in visit.result()]
            checkouts = sum(answer.path == "/checkout/" for answer in answers)
            wait_for(lambda: count(log, '"task":"shop.tasks.reserve_stock"') >= checkouts, "The tasks did not end")
        return show(log, answers, page)


class SearchService(BaseHTTPRequestHandler):
    """Another service, which the shop asks. It is slow."""

    def do_GET(self) -> None:
        time.sleep(0.3)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing: the demonstration shows the log of the shop."""


@contextmanager
def running_search() -> Iterator[str]:
    with ThreadingHTTPServer((HOST, 0), SearchService) as service:
        threading.Thread(target=service.serve_forever).start()
        try:
            yield f"http://{HOST}:{service.server_port}/"
        finally:
            service.shutdown()


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


@contextmanager
def running_worker(log: Path, output: Path, environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "--concurrency", "2", "--without-mingle"]
    with (
        output.open("w") as file,
        subprocess.Popen(command, cwd=SHOP, env=environment, stdout=file, stderr=subprocess.STDOUT) as worker,
    ):
        try:
            wait_for(lambda: count(log, " ready.") > 0, "The worker did not start")
            yield
        finally:
            worker.terminate()
            try:
                worker.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()


def wait_for(condition: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(failure)
        time.sleep(0.05)  # the pause before the next look


def count(log: Path, text: str) -> int:
    return log.read_text().count(text) if log.exists() else 0


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

    heading(f"One checkout, with the tasks that it caused: obs-middleware request {ids['/checkout/']} shop.log")
    read("request", ids["/checkout/"], str(log))

    heading("From lines to percentiles: obs-middleware stats shop.log")
    read("stats", str(log))
    heading(f"The same as a page to open in a browser: obs-middleware report shop.log -o {page}")
    read("report", str(log), "-o", str(page))
    heading("Why the slow requests are slow: obs-middleware why shop.log")
    read("why", str(log))
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
