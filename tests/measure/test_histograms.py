"""`obs_middleware.measure.histograms` and `obs_middleware.measure.meter`: which processes count together."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from disks import short_of_room
from histogrammed import counted, counting

from obs_middleware import failures, platforms
from obs_middleware.measure import histograms, meter
from obs_middleware.measure.event import Event
from obs_middleware.measure.histograms import FAMILIES, histograms_in
from obs_middleware.testing import CapturedRequests

COUNT = """
import sys
from obs_middleware.measure.event import Event
from obs_middleware.measure.histograms import histograms_in
histograms_in(sys.argv[1] if len(sys.argv) > 1 else True).requests.count(
    ("GET", "http", "a/", 200, None), 0.02, Event(0.0, "r")
)
"""


@pytest.fixture(name="temporary", autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for temporary files, also of the processes that a test starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    for key in list(histograms._kept):
        histograms._kept.pop(key).forget()


def count(metrics: Any, route: str = "a/") -> None:
    histograms_in(metrics).requests.count(("GET", "http", route, 200, None), 0.02, Event(0.0, "r"))


def own_folder(temporary: Path) -> Path:
    return temporary / f"obs_middleware-{os.getuid()}-{os.getpgid(0)}"


def test_processes_of_one_group_count_together(temporary: Path) -> None:
    with counting(True):
        count(True)
        for _ in range(2):
            subprocess.run([sys.executable, "-c", COUNT], check=True, timeout=60)

        assert list(counted().values()) == [3]
    assert list(temporary.iterdir()) == [own_folder(temporary)]
    assert own_folder(temporary).stat().st_mode & 0o777 == 0o700


def test_another_server_counts_apart_and_its_folder_is_deleted_when_it_is_gone(temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", COUNT + "print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with counting(True):
            count(True)
            assert list(counted().values()) == [1]
            assert len(list(temporary.iterdir())) == 2
        other.send_signal(signal.SIGKILL)
        other.wait()
    with counting(True):
        count(True)

        assert list(temporary.iterdir()) == [own_folder(temporary)]
        assert list(counted().values()) == [2]


@pytest.mark.parametrize("is_link", [False, True], ids=["open to others", "link"])
def test_a_folder_that_somebody_else_may_have_prepared_is_not_used(
    is_link: bool, temporary: Path, tmp_path: Path
) -> None:
    if is_link:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        own_folder(temporary).symlink_to(tmp_path / "elsewhere")
    else:
        own_folder(temporary).mkdir()
        own_folder(temporary).chmod(0o777)

    with pytest.raises(OSError, match="is not a folder of this user alone"):
        count(True)
    with pytest.raises(OSError, match="is not a folder of this user alone"):
        list(histograms_in(True).read())
    assert list(own_folder(temporary).iterdir()) == []


def test_without_shared_memory_a_process_counts_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platforms, "SHARES_MEMORY", False)
    with counting(tmp_path):
        assert counted() == {}
        count(str(tmp_path))

        assert list(counted().values()) == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_a_child_has_a_file_of_its_own(tmp_path: Path) -> None:
    with counting(tmp_path):
        count(str(tmp_path))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                count(str(tmp_path), "b/")
                count(str(tmp_path))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        count(str(tmp_path))

        assert os.waitstatus_to_exitcode(status) == 0
        assert {dict(labels)["http_route"]: number for labels, number in counted().items()} == {"a/": 3, "b/": 1}
        assert len(list(tmp_path.glob("*.histograms"))) == 2


def test_no_count_is_lost_between_threads(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    with counting(tmp_path):

        def count_many() -> None:
            for number in range(3_000):
                count(str(tmp_path), f"{number % 3}/")

        threads = [threading.Thread(target=count_many) for _ in range(4)]
        try:
            sys.setswitchinterval(1e-6)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)

        assert sorted(counted().values()) == [4_000] * 3


def test_a_full_disk_counts_with_the_overflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: CapturedRequests
) -> None:
    with counting(tmp_path):
        count(str(tmp_path))
        monkeypatch.setattr(os, "write", short_of_room(*[0] * 10))
        for number in range(100):
            count(str(tmp_path), f"{number}/")

        assert sum(counted().values()) == 101
        assert counted()[("otel_metric_overflow", "true"),] == 39  # the first 64 have room
    assert len(failures._reported) == 1
    assert len(lines.logs) == 1


def test_a_disk_that_is_full_at_the_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: CapturedRequests
) -> None:
    with counting(tmp_path):
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", short_of_room(0))
            with pytest.raises(OSError, match="No space left on device"):
                count(str(tmp_path))
        count(str(tmp_path))  # a minute has not passed
        assert counted() == {}

        monkeypatch.setattr(histograms_in(str(tmp_path)), "_retry", 0.0)
        count(str(tmp_path))

        assert list(counted().values()) == [1]
        assert len(list(tmp_path.glob("*.histograms"))) == 1
    assert lines.logs == []


def test_a_status_that_is_a_member_of_an_enum_counts_as_its_number(tmp_path: Path) -> None:
    with counting(tmp_path):
        for status in (HTTPStatus.NOT_FOUND, 404):
            histograms_in(str(tmp_path)).requests.count(("GET", "http", "a/", status, None), 0.02, Event(0.0, "r"))

        ((labels, number),) = counted().items()
    assert (dict(labels)["http_response_status_code"], number) == ("404", 2)


def test_a_meter_provider_that_fails_does_not_stop_the_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: CapturedRequests
) -> None:
    def fail(*_: Any) -> None:
        raise TypeError("create_histogram() got an unexpected keyword argument")  # as an API of 2023 does

    monkeypatch.setattr(histograms, "recorder", fail)
    with counting(tmp_path):
        count(str(tmp_path))

        assert list(counted().values()) == [1]
    (record,) = lines.logs
    assert record["message"].startswith("the meter provider of OpenTelemetry failed")


def test_a_family_has_as_many_bounds_as_a_page_has_room_for() -> None:
    for family in FAMILIES.values():
        assert len(family.bounds) == 14
        assert list(family.bounds) == sorted(set(family.bounds))


# OpenTelemetry

METERED = """
import sys
from django.conf import settings
settings.configure(OBS_MIDDLEWARE={"METRICS": True}, ALLOWED_HOSTS=["testserver"], ROOT_URLCONF="testproject.urls",
    INSTALLED_APPS=["obs_middleware"],
    MIDDLEWARE=["obs_middleware.middleware.TimingMiddleware"])
import django
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
django.setup()
from django.test import Client
client = Client(raise_request_exception=False)
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
for url in ("/ok/", "/ok/", "/fail/", "/nowhere/"):
    client.get(url)
from obs_middleware.work import tasks
with tasks.running("shop.send_mail", "t-1"):
    pass
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                print(scope.scope.name, metric.name, metric.unit, point.count, len(point.bucket_counts),
                    dict(sorted(point.attributes.items())))
"""


def test_a_meter_provider_gets_every_request_and_task() -> None:
    """In a process of its own, because a provider can be set only once."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", METERED],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    request, shown = "http.server.request.duration s", "'http.request.method': 'GET', 'http.response.status_code':"
    failing = "'http.route': 'fail/', 'url.scheme': 'http'"
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.splitlines()) == [
        f"obs_middleware {request} 1 15 {{'error.type': 'ValueError', {shown} 500, {failing}}}",
        f"obs_middleware {request} 1 15 {{{shown} 404, 'url.scheme': 'http'}}",
        f"obs_middleware {request} 2 15 {{{shown} 200, 'http.route': 'ok/', 'url.scheme': 'http'}}",
        "obs_middleware task.duration s 1 15 {'outcome': 'ok', 'task': 'shop.send_mail'}",
    ]


def test_without_opentelemetry_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)

    assert meter.recorder("shop", "", [1.0]) is None


def test_without_a_provider_nothing_is_recorded() -> None:
    assert meter.recorder("shop", "", [1.0]) is None
