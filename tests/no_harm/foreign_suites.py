"""
Django's own tests, and those of Django REST framework, with the middleware first in every chain.

    python tests/no_harm/foreign_suites.py [--keep DIRECTORY] [suite ...]

Downloads the source archive of the installed Django with pip, and runs all its suites that concern requests, on SQLite.
Each suite runs once as it is, and once with `TimingMiddleware` above the ``MIDDLEWARE`` of each test and the shipped
JSON formatter on the root logger. Prints each test that passes without the middleware and fails with it. The exit code
is 1 if `EXPECTED` does not explain all of them.

The header with the request id is switched off, because some tests compare all headers of a response with a list.
``--header`` switches it on, and `EXPECTED` explains these tests.

REST framework is treated in the same way if it is installed with the requirements of its tests.
"""

from __future__ import annotations

import argparse
import atexit
import collections
import importlib.metadata
import importlib.util
import json
import logging
import os
import runpy
import subprocess
import sys
import tarfile
import tempfile
import unittest
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

MIDDLEWARE: Final = "obs_middleware.middleware.TimingMiddleware"

SUITES: Final = (
    "admin_views",
    "asgi",
    "async",
    "auth_tests",
    "builtin_server",
    "cache",
    "conditional_processing",
    "context_processors",
    "csrf_tests",
    "decorators",
    "deprecation",
    "dispatch",
    "file_uploads",
    "flatpages_tests",
    "generic_views",
    "get_object_or_404",
    "handlers",
    "httpwrappers",
    "i18n",
    "logging_tests",
    "mail",
    "messages_tests",
    "middleware",
    "middleware_exceptions",
    "redirects_tests",
    "requests_tests",
    "resolve_url",
    "responses",
    "servers",
    "sessions_tests",
    "settings_tests",
    "shortcuts",
    "signals",
    "signed_cookies_tests",
    "sitemaps_tests",
    "sites_tests",
    "staticfiles_tests",
    "syndication_tests",
    "template_tests",
    "test_client",
    "test_client_regress",
    "test_exceptions",
    "test_utils",
    "timezones",
    "transactions",
    "urlpatterns",
    "urlpatterns_reverse",
    "view_tests",
    "wsgi",
)

_ALL_HEADERS: Final = "compares all headers with a list, and the request id is one more"

EXPECTED: Final[Mapping[str, str]] = {
    "asgi.tests.ASGITest.test_file_response": _ALL_HEADERS,
    "asgi.tests.ASGITest.test_get_asgi_application": _ALL_HEADERS,
    "asgi.tests.ASGITest.test_headers": _ALL_HEADERS,
    "wsgi.tests.WSGITest.test_get_wsgi_application": _ALL_HEADERS,
}
"""Tests that pass without the middleware and fail with ``--header``, each with the reason why that is no harm."""

_PASSED: Final = "passed"
_REQUESTS: Final = "requests that went through the middleware"


def main() -> int:
    """Run all suites, print the differences, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument(
        "suites",
        nargs="*",
        default=SUITES,
        metavar="suite",
        help="suites of Django; the default is all that concern requests",
    )
    parser.add_argument("--header", action="store_true", help="with the header that carries the request id")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="keep archives and outcomes here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = (options.keep or Path(temporary)).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        runs = ("bare", "judged with header" if options.header else "judged")
        differences = _compare_django(directory, options.suites, runs)
        if options.suites is SUITES:
            differences += _compare_rest_framework(directory, runs)
    return 1 if differences else 0


def _compare_django(directory: Path, suites: Sequence[str], runs: Sequence[str]) -> int:
    version = importlib.metadata.version("django")
    tests = _source("django", directory) / "tests"
    present = [suite for suite in suites if (tests / suite).is_dir()]
    arguments = ["runtests.py", "--settings=test_sqlite", "--parallel=1", "--verbosity=0", *present]
    bare, judged = (_outcomes(tests, arguments, directory / f"django-{version}-{name}", name) for name in runs)
    return _report(f"Django {version}", bare, judged, EXPECTED if "header" in runs[1] else {})


def _compare_rest_framework(directory: Path, runs: Sequence[str]) -> int:
    try:
        version = importlib.metadata.version("djangorestframework")
    except importlib.metadata.PackageNotFoundError:
        return 0
    source = _source("djangorestframework", directory)
    if not (source / "tests" / "conftest.py").is_file():
        print(f"REST framework {version}: its source archive has no tests; left out")
        return 0
    if importlib.util.find_spec("dj_database_url") is None:
        print(f"REST framework {version}: its tests need dj-database-url; left out")
        return 0
    arguments = ["pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:obs_middleware", "tests"]
    bare, judged = (_outcomes(source, arguments, directory / f"rest-framework-{version}-{name}", name) for name in runs)
    return _report(f"REST framework {version}", bare, judged, {})


def _source(package: str, directory: Path) -> Path:
    """Return the unpacked source archive of the installed version of *package*."""
    version = importlib.metadata.version(package)
    found = directory / f"{package}-{version}"
    if not found.is_dir():
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package),
                *("--dest", directory, f"{package}=={version}"),
            ],
            check=True,
        )
        with tarfile.open(next(directory.glob(f"{package}-{version}.tar.gz"))) as archive:
            archive.extractall(directory, filter="data")
    return found


def _outcomes(tests: Path, arguments: list[str], base: Path, run: str) -> dict[str, str]:
    """Run a suite in a separate process, and return the outcome of each test."""
    file, output = (base.with_name(f"{base.name}.{suffix}") for suffix in ("jsonl", "log"))
    file.unlink(missing_ok=True)
    with output.open("w") as log:
        subprocess.run(
            [sys.executable, __file__, *arguments],
            cwd=tests,
            env={**os.environ, "NO_HARM_RUN": run, "NO_HARM_OUTCOMES": str(file), "PYTHONWARNINGS": ""},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    outcomes: dict[str, str] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        name, outcome = json.loads(line)
        # A test with subtests is reported several times. The worst result counts.
        if outcomes.get(name, _PASSED) in {_PASSED, "skipped"}:
            outcomes[name] = outcome
    if not outcomes:
        raise SystemExit(f"nothing ran: {output.read_text()[-2000:]}")
    return outcomes


def _report(title: str, bare: Mapping[str, str], judged: dict[str, str], explained: Mapping[str, str]) -> int:
    """Print the comparison, and return the number of differences without an explanation."""
    requests = int(judged.pop(_REQUESTS, "0"))
    for name, outcomes in (("without", bare), ("with", judged)):
        counts = collections.Counter(outcomes.values())
        print(f"{title} {name} the middleware: {len(outcomes)} tests, {dict(sorted(counts.items()))}")
    worse = [name for name, outcome in bare.items() if outcome == _PASSED and judged.get(name) != _PASSED]
    unexplained = [name for name in worse if name not in explained]
    for name in worse:
        print(f"  {judged.get(name, 'did not run')}: {name}: {explained.get(name, 'NOT EXPLAINED')}")
    print(f"{title}: {requests} {_REQUESTS}; {len(worse)} differ, {len(unexplained)} unexplained")
    return len(unexplained) + (not requests)


class _SettingsWithMiddleware:
    """The settings as the handlers of Django see them: the middleware is first, whatever a test sets."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._settings, name)
        return [MIDDLEWARE, *value] if name == "MIDDLEWARE" else value


def _insert_middleware(*, header: bool) -> None:
    from django.conf import global_settings  # noqa: PLC0415 -- only in the process of a judged suite
    from django.core.handlers import base  # noqa: PLC0415 -- as above

    from obs_middleware.logs.filters import FoldDjangoRequests  # noqa: PLC0415 -- as above
    from obs_middleware.logs.formatters import JSONFormatter  # noqa: PLC0415 -- as above

    # A default setting, so that it applies under any settings of a test.
    vars(global_settings)["OBS_MIDDLEWARE"] = {"RESPONSE_HEADER": header}
    vars(base)["settings"] = _SettingsWithMiddleware(vars(base)["settings"])
    # A configured root logger, as the documentation asks for. Its lines are rendered and discarded.
    handler = logging.FileHandler(os.devnull, encoding="utf-8")
    handler.setFormatter(JSONFormatter())
    handler.addFilter(FoldDjangoRequests())
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


def _record_outcomes(file: Path) -> None:
    """Patch unittest, so that it appends the outcome of each test to *file*."""
    kinds = {
        "addSuccess": _PASSED,
        "addError": "error",
        "addFailure": "failed",
        "addSkip": "skipped",
        "addExpectedFailure": "expected failure",
        "addUnexpectedSuccess": "unexpected success",
    }

    def note(test: unittest.TestCase, outcome: str) -> None:
        with file.open("a") as outcomes:
            outcomes.write(json.dumps([test.id(), outcome]) + "\n")

    def recording(original: Any, outcome: str) -> Any:
        def add(self: unittest.TestResult, test: unittest.TestCase, *args: Any) -> None:
            note(test, outcome)
            original(self, test, *args)

        return add

    for method, outcome in kinds.items():
        setattr(unittest.TestResult, method, recording(getattr(unittest.TestResult, method), outcome))
    add_subtest = unittest.TestResult.addSubTest

    def add(self: unittest.TestResult, test: unittest.TestCase, subtest: unittest.TestCase, error: Any) -> None:
        if error is not None:
            note(test, "failed")
        add_subtest(self, test, subtest, error)

    setattr(unittest.TestResult, "addSubTest", add)  # noqa: B010 -- a method may not be assigned to, says mypy


def _record_requests(file: Path) -> None:
    """Record how many requests went through the middleware, because a run without any proves nothing."""
    from obs_middleware import stats  # noqa: PLC0415 -- only in the process of a judged suite

    with file.open("a") as outcomes:
        outcomes.write(json.dumps([_REQUESTS, str(stats()["requests"])]) + "\n")


class _PytestOutcomes:
    """The same for pytest, as a plugin."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != _PASSED:
            with self._file.open("a") as outcomes:
                outcomes.write(json.dumps([report.nodeid, report.outcome]) + "\n")


def _run_suite(run: str, file: Path) -> None:
    """Apply the patches, and run a suite in this process."""
    if run != "bare":
        _insert_middleware(header="header" in run)
        atexit.register(_record_requests, file)
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path.cwd())
    if sys.argv[0] == "pytest":
        import pytest  # noqa: PLC0415 -- REST framework's runner; Django's needs none

        raise SystemExit(pytest.main(sys.argv[1:], plugins=[_PytestOutcomes(file)]))
    _record_outcomes(file)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    if "NO_HARM_RUN" in os.environ:
        _run_suite(os.environ["NO_HARM_RUN"], Path(os.environ["NO_HARM_OUTCOMES"]))
    else:
        sys.exit(main())
