"""The lines to read: random requests of a shop, as the package writes them, the same in every run."""

import datetime as dt
import functools
import itertools
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from obs_middleware.logs.schemas import SCHEMAS, Translation

PROCESS = "bb50066b44bef741"
"""What the ids of the events begin with."""
START = dt.datetime(2026, 11, 2, 10, tzinfo=dt.UTC)
ROUTES = [
    ("GET", "", "home", 0.010),
    ("GET", "products/", "products:list", 0.020),
    ("GET", "products/<slug:slug>/", "products:detail", 0.030),
    ("GET", "search/", "search", 0.120),
    ("GET", "orders/", "orders:list", 0.050),
    ("GET", "orders/<int:pk>/", "orders:detail", 0.080),
    ("POST", "checkout/", "checkout", 0.200),
    ("POST", "login/", "login", 0.150),
    ("GET", "account/", "account", 0.040),
    ("GET", "api/v1/items/<int:pk>/", "api:item", 0.015),
    ("PATCH", "api/v1/items/<int:pk>/", "api:item", 0.025),
    ("GET", "export.csv", "export", 0.900),
]
FILES = 4_000
"""The number of the files of `write_many`."""


def events(number: int, seed: int = 8) -> Iterator[dict[str, Any]]:
    """Yield *number* events in the flat schema, about 280 a second, with log-normal durations by route."""
    dice = random.Random(seed)
    for n in range(number):
        method, route, view, median = dice.choice(ROUTES)
        seconds = round(median * dice.lognormvariate(0, 0.6), 6)
        status = dice.choices([200, 302, 404, 500], [940, 30, 20, 10])[0]
        when = START + dt.timedelta(microseconds=n * 3_600)
        key = dice.randrange(100_000)
        yield {
            "timestamp": when.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": "info",
            "logger": "root",
            "message": f"Request took {seconds:.4f} seconds",
            "event_id": f"{PROCESS}-{n}",
            "service": "shop",
            "request_id": f"{dice.getrandbits(128):032x}",
            "method": method,
            "path": "/" + route.replace("<int:pk>", str(key)).replace("<slug:slug>", f"tea-{key % 1000}"),
            "route": route,
            "status": status,
            "outcome": "error" if status == 500 else "ok",
            "duration_seconds": seconds,
            "view": view,
            "response_bytes": dice.randrange(200, 20_000),
            "client_ip": f"203.0.113.{key % 255}",
            "db_queries": key % 6,
            "db_seconds": round(seconds * 0.4, 6),
        }


def write(folder: Path, number: int) -> dict[str, Path]:
    """
    Write the files ``flat``, ``ecs``, ``text`` and ``damaged``, and return their paths.

    ``damaged`` is ``flat`` with one bad line in twenty: half a line, or a line of a traceback or another program.
    All files have the same number of lines.
    """
    paths = {name: folder / f"{name}-{number}.log" for name in ("flat", "ecs", "text", "damaged")}
    if all(path.exists() for path in paths.values()):
        return paths
    schema = SCHEMAS["ecs"]
    assert schema is not None
    translate = Translation(schema)
    files: dict[str, TextIO] = {name: path.with_suffix(".part").open("w") for name, path in paths.items()}
    bad = ['  File "views.py", line 3, in checkout', '{"msg":"hello","ts":1}', "ValueError: no", "\x00\x00\x00"]
    for n, event in enumerate(events(number)):
        line = json.dumps(event, separators=(",", ":"))
        files["flat"].write(line + "\n")
        files["ecs"].write(json.dumps(translate(None, "", event), separators=(",", ":")) + "\n")
        files["text"].write(f"{event['timestamp']} INFO root {event['message']}\n")
        wrong = line[:200] if n % 5 == 0 else bad[n % 4]
        files["damaged"].write((wrong if n % 20 == 0 else line) + "\n")
    for name, file in files.items():
        file.close()
        Path(file.name).rename(paths[name])
    return paths


def write_others(folder: Path, number: int) -> dict[str, Path]:
    """
    Write files to compare, and return their paths.

    ``other`` has other requests than ``flat``; ``routes`` and ``other routes`` are the same two with 200 routes.
    """
    paths = {name: folder / f"{name.replace(' ', '-')}-{number}.log" for name in ("other", "routes", "other routes")}
    if all(path.exists() for path in paths.values()):
        return paths
    files = {name: path.with_suffix(".part").open("w") for name, path in paths.items()}
    dice = random.Random(9)
    for one, other in zip(events(number), events(number, seed=7), strict=True):
        files["other"].write(json.dumps(other, separators=(",", ":")) + "\n")
        for name, event in (("routes", one), ("other routes", other)):
            line = json.dumps({**event, "route": f"pages/{dice.randrange(200)}/"}, separators=(",", ":"))
            files[name].write(line + "\n")
    for name, file in files.items():
        file.close()
        Path(file.name).rename(paths[name])
    return paths


def write_many(log: Path) -> Path:
    """Write the lines of *log* to `FILES` files of one size, and return their folder."""
    folder = log.with_suffix(".many")
    if folder.exists():
        return folder
    with log.open() as file:
        number = sum(1 for _ in file)
    with tempfile.TemporaryDirectory(dir=log.parent) as name, log.open() as file:
        part = Path(name, folder.name)
        part.mkdir()
        for n in range(FILES):
            start, end = (number * one // FILES for one in (n, n + 1))
            with (part / f"{n:04}.log").open("w") as target:
                target.writelines(itertools.islice(file, end - start))
        return part.rename(folder)


def write_ten_times(log: Path) -> Path:
    """Write the lines of *log* ten times, on ten days and with ids of ten processes, and return the path."""
    path = log.with_suffix(".ten")
    if path.exists():
        return path
    part = path.with_suffix(".part")
    with part.open("w") as target:
        for day in range(10, 20):
            pairs = (f'"{START:%Y-%m-%d}T', f'"{START:%Y-%m}-{day}T'), (f'"{PROCESS}-', f'"{PROCESS[:-2]}{day}-')
            with log.open() as file:
                for line in file:
                    target.write(functools.reduce(lambda text, pair: text.replace(*pair, 1), pairs, line))
    return part.rename(path)
