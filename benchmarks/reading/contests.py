"""The commands to measure: each command of `obs-middleware` at least once, and other programs that answer the same."""

import json
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.reading import lines

OURS = [sys.executable, "-m", "obs_middleware"]
PLAIN = """
import duckdb, sys
print(duckdb.execute('''
    SELECT route, quantile_cont(duration_seconds, 0.95) FROM read_json($1, format = 'newline_delimited') GROUP BY route
''', [sys.argv[1]]).fetchall())
"""
GOACCESS = (
    '{"timestamp":"%dT%t.%^","client_ip":"%h","method":"%m","path":"%U","status":"%s","response_bytes":"%b",'
    '"duration_seconds":"%T"}'
)
FEW_LINES = 10_000
"""What is made for eyes is measured with fewer lines."""


class Contest(NamedTuple):
    """A command to measure. It may read *input* from its standard input, and make the folder *made* anew."""

    name: str
    command: list[str]
    input: Path | None = None
    made: Path | None = None


class Target(NamedTuple):
    """The command *name* may take at most *most* times as long as the command *of*."""

    name: str
    of: str
    most: float


TARGETS = [
    Target("stats, flat", "plain DuckDB, flat", 2),
    Target("stats, ten times", "plain DuckDB, ten times", 1.6),
    Target("stats, flat", "jq, flat", 1 / 8),
    Target("stats, flat", "GoAccess, flat", 1 / 12),
    Target("stats, ECS", "jq, flat", 1 / 5),
    Target("stats, text", "jq, flat", 1 / 5),
    Target("stats, one in twenty damaged", "stats, flat", 1.5),
    Target("grep, one line", "request", 1.5),
    Target("stats, packed", "stats, flat", 1 / 10),
    Target(f"stats, {lines.FILES:,} files", "stats, flat", 2),
    Target("diff", "stats, flat", 2.5),
    Target("diff, 200 routes", "stats, 200 routes", 2.5),
]
SECONDS = {"--help": 0.3, "stats, one line": 0.8}
MEBIBYTES = {"stats, ten times": 500}


def contests(folder: Path, number: int) -> list[Contest]:
    """Return the commands to measure, and write the files that they read into *folder*, if they are missing."""
    paths = lines.write(folder, number) | lines.write_others(folder, number)
    one, few = folder / "one.log", folder / "few.log"
    with paths["flat"].open() as file:
        head = [line for line, _ in zip(file, range(FEW_LINES), strict=False)]
    one.write_text(head[0])
    few.write_text("".join(head))
    ten = lines.write_ten_times(paths["flat"])
    return [*_ours(paths, one, few, ten), *_others(paths["flat"], folder, ten)]


def _ours(paths: dict[str, Path], one: Path, few: Path, ten: Path) -> list[Contest]:
    flat, ecs, text, damaged, other, routes, other_routes = (
        str(paths[name]) for name in ("flat", "ecs", "text", "damaged", "other", "routes", "other routes")
    )
    request = json.loads(one.read_text())["request_id"]
    all_routes = ["--by", "route", "--limit", "0"]
    many = lines.write_many(paths["flat"])
    # The name begins with the command. What follows a comma says what it reads.
    packs = one.parent / "packs"
    rows: list[tuple[str, list[str]]] = [
        ("stats, flat", [flat]),
        ("stats, ECS", [ecs]),
        ("stats, text", [text]),
        ("stats, one in twenty damaged", [damaged]),
        ("stats, ten times", [str(ten)]),
        ("stats, one line", [str(one)]),
        ("stats, packed", [str(packs)]),
        (f"stats, {lines.FILES:,} files", [str(many / "*.log")]),
        ("stats, 200 routes", [routes, *all_routes]),
        ("why", [flat]),
        ("slow", [flat]),
        ("time", [flat]),
        ("grep, one line", [f"request_id = '{request}'", flat]),
        ("request", [request, flat]),
        ("diff", [flat, other]),
        ("diff, 200 routes", [routes, other_routes, *all_routes]),
        ("check", ["--p95", "10s", "--errors", "5%", flat]),
        ("report", [flat]),
        (f"pretty, {FEW_LINES:,} lines", [str(few)]),
        ("elastic-template", []),
    ]
    found = [Contest("pack", [*OURS, "pack", "--to", str(packs), flat], made=packs)]
    found += (Contest(name, [*OURS, name.partition(",")[0], *arguments]) for name, arguments in rows)
    found.append(Contest(f"tail, {FEW_LINES:,} lines", [*OURS, "tail", "-n", str(FEW_LINES)], few))
    found.append(Contest("--help", [*OURS, "--help"]))
    return found


def _others(flat: Path, folder: Path, ten: Path) -> list[Contest]:
    """Return the commands of the programs that are installed here."""
    plain = [sys.executable, "-c", PLAIN]
    found = [
        Contest("plain DuckDB, flat", [*plain, str(flat)]),
        Contest("plain DuckDB, ten times", [*plain, str(ten)]),
    ]
    if shutil.which("jq"):
        found.append(Contest("jq, flat", ["jq", "-r", '"\\(.route)\\t\\(.duration_seconds)"', str(flat)]))
    if shutil.which("goaccess"):
        form = ["--log-format", GOACCESS, "--date-format", "%Y-%m-%d", "--time-format", "%H:%M:%S"]
        out = ["--no-global-config", "--no-progress", "-o", str(folder / "goaccess.json")]
        found.append(Contest("GoAccess, flat", ["goaccess", str(flat), *form, *out]))
    return found
