"""
Run the suite over other middleware, and print a table.

    python tests/no_harm/judge.py [--venv DIRECTORY]

Creates a virtual environment (a temporary one, or the one that you name, which is kept). Installs this package and its
peers there with pip, runs the suite once for each, and prints the results. This is not one of the checks, because other
packages change at any time.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
import venv
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FILES: Final = (
    "test_requests.py",
    "test_responses.py",
    "test_exceptions.py",
    "test_streams.py",
    "test_chain.py",
    "test_process.py",
)
NEEDED: Final = ("django~=5.2.0", "pytest", "pytest-django", "hypothesis")


@dataclass(frozen=True)
class Subject:
    """
    A package to judge.

    Attributes:
        package: Its name in the package index.
        also: Further packages that its documentation asks for.
        environment: The variables that `subject.py` reads.
        notes: Name of a test -> explanation of its failure.
    """

    package: str
    also: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


_HOPS: Final = (
    "test_no_request_changes_threads_because_of_it",
    "test_an_async_site_with_sync_views_changes_threads_no_more_often_than_without_it",
    "test_a_stream_changes_threads_no_more_often_than_without_it",
    "test_above_and_below_a_sync_only_layer_it_changes_threads_no_more_often",
)
_LOGGING: Final = (
    "test_logging_that_fails_does_not_fail_the_request",
    "test_logging_that_fails_does_not_fail_a_stream",
)

SUBJECTS: Final = (
    Subject("obs-middleware"),
    Subject(
        "django-structlog",
        environment={
            "NO_HARM_MIDDLEWARE": "django_structlog.middlewares.RequestMiddleware",
            "NO_HARM_POSITION": "last",
            "NO_HARM_APPS": "django_structlog",
            "NO_HARM_HEADERS": "",
            "NO_HARM_SETUP": "no_harm.peers:configure_structlog",
        },
        notes={
            **dict.fromkeys(
                (
                    "test_a_logged_in_client_costs_no_query_if_the_user_is_not_needed",
                    "test_the_session_is_not_accessed",
                    "test_a_lazy_user_stays_lazy",
                ),
                "adds the user's id to its lines, by default and on purpose; with"
                " `DJANGO_STRUCTLOG_USER_ID_FIELD = None` these three pass.",
            ),
            **dict.fromkeys(_HOPS, "under ASGI it runs its own code in a thread, before and after the view."),
            **dict.fromkeys(_LOGGING, "exceptions of the logging module from its two lines reach the request."),
            "test_a_file_goes_out_through_the_wrapper_of_the_server": (
                "wraps the content of every stream, files too, so the server has no file to send."
            ),
            "test_context_that_was_bound_at_process_start_is_not_cleared": (
                "clears structlog's whole context when a request ends."
            ),
        },
    ),
    Subject(
        "django-guid",
        environment={
            "NO_HARM_MIDDLEWARE": "django_guid.middleware.guid_middleware",
            "NO_HARM_APPS": "django_guid",
            "NO_HARM_HEADERS": "Correlation-ID,Access-Control-Expose-Headers",
            "NO_HARM_SETTINGS": "no_harm.peers:GUID_SETTINGS",
        },
        notes={
            **dict.fromkeys(_LOGGING, "exceptions of the logging module from its lines reach the request."),
            "test_headers_that_are_exposed_to_scripts_stay_exposed": (
                "sets the header instead of adding to it; `EXPOSE_HEADER: False` switches that off."
            ),
            "test_nothing_is_exposed_to_scripts_that_the_site_did_not_expose": (
                "exposes its own header, by default and on purpose; `EXPOSE_HEADER: False` switches that off."
            ),
        },
    ),
    Subject(
        "opentelemetry-instrumentation-django",
        also=("opentelemetry-sdk", "opentelemetry-instrumentation-asgi"),
        environment={
            "NO_HARM_MIDDLEWARE": "opentelemetry.instrumentation.django.middleware.otel_middleware._DjangoMiddleware",
            "NO_HARM_HEADERS": "",
            "NO_HARM_SETUP": "no_harm.peers:instrument_django",
        },
        notes={
            **dict.fromkeys(_HOPS, "is a sync-only middleware, for which Django changes threads under ASGI."),
            **dict.fromkeys(
                (
                    "test_a_health_check_with_any_host_passes",
                    "test_a_host_that_the_site_does_not_use_is_not_validated",
                ),
                "asks Django for the full address of the request, and Django refuses to build it.",
            ),
        },
    ),
)


def main() -> None:
    """Install, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--venv", type=Path, metavar="DIRECTORY", help="create the environment here, and keep it")
    parser.add_argument("--only", metavar="PACKAGE", help="judge only this package, and show why it fails")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        python = _environment(options.venv or Path(temporary) / "venv")
        subjects = [one for one in SUBJECTS if options.only in {None, one.package}]
        results = {
            one.package: _run(python, one, Path(temporary) / "results.xml", verbose=bool(options.only))
            for one in subjects
        }
        sys.stdout.write(_table(subjects, results, _versions(python, subjects)))


def _environment(directory: Path) -> Path:
    python = directory / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(directory, with_pip=True)
    wanted = [*NEEDED, *(name for one in SUBJECTS[1:] for name in (one.package, *one.also))]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--editable", ROOT, *wanted], check=True)
    return python


def _run(python: Path, subject: Subject, results: Path, *, verbose: bool) -> dict[str, collections.Counter[str]]:
    """Return for each test how many of its cases passed and how many failed."""
    results.unlink(missing_ok=True)
    subprocess.run(
        [
            *(python, "-m", "pytest", "-q", "--tb=short" if verbose else "--tb=no", f"--junitxml={results}"),
            # The settings of the suite, no fixtures of this project, and warnings of other packages are allowed.
            *("--ds=no_harm.settings", "--confcutdir=tests/no_harm", "-o", "filterwarnings=ignore"),
            *("-p", "no:randomly", "-p", "no:cacheprovider", *(f"tests/no_harm/{name}" for name in FILES)),
        ],
        cwd=ROOT,
        env={**os.environ, **subject.environment},
        stdout=None if verbose else subprocess.DEVNULL,
        check=False,
    )
    held: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for case in ET.parse(results).iter("testcase"):
        fate = "failed" if {one.tag for one in case} & {"failure", "error"} else "held"
        held[re.sub(r"\[.*", "", case.attrib["name"])][fate] += 1
    return held


def _versions(python: Path, subjects: Sequence[Subject]) -> dict[str, str]:
    names = ["Python", "Django", *(one.package for one in subjects)]
    code = (
        "import importlib.metadata as m, platform, sys\n"
        "print(platform.python_version(), *(m.version(name) for name in sys.argv[1:]), sep='\\n')"
    )
    output = subprocess.run([python, "-c", code, *names[1:]], check=True, capture_output=True, text=True).stdout
    return dict(zip(names, output.split(), strict=True))


def _table(
    subjects: Sequence[Subject],
    results: Mapping[str, Mapping[str, collections.Counter[str]]],
    versions: Mapping[str, str],
) -> str:
    notes: list[str] = []
    lines = [
        f"Python {versions['Python']}, Django {versions['Django']}. ✓: passed in every case; 2/8: failed in 2 of 8.",
        "",
        "| | " + " | ".join(f"{one.package} {versions[one.package]}" for one in subjects) + " |",
        "|---|" + "---|" * len(subjects),
    ]
    tests = dict.fromkeys(test for of_one in results.values() for test in of_one)
    for test in tests:
        cells = [_cell(one, test, results[one.package][test], notes) for one in subjects]
        lines.append(f"| {_sentence(test)} | " + " | ".join(cells) + " |")
    totals = [sum(not counts["failed"] for counts in results[one.package].values()) for one in subjects]
    lines.append(f"| **Passed, of {len(tests)}** | " + " | ".join(f"**{total}**" for total in totals) + " |")
    lines.extend(["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))])
    return "\n".join(lines) + "\n"


def _cell(subject: Subject, test: str, counts: collections.Counter[str], notes: list[str]) -> str:
    if not counts["failed"]:
        return "✓"
    cell = f"{counts['failed']}/{counts.total()}"
    note = subject.notes.get(test)
    if note is None:
        return cell
    note = f"{subject.package}: {note}"
    if note not in notes:
        notes.append(note)
    return f"{cell} ({notes.index(note) + 1})"


def _sentence(test: str) -> str:
    words = test.removeprefix("test_").replace("_", " ")
    return words[0].upper() + words[1:]


if __name__ == "__main__":
    main()
