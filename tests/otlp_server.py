"""A collector for tests: it takes log records over OTLP/HTTP on loopback, and decodes them."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from ports import HOST


class Taken(NamedTuple):
    """
    A log record as it came over the network.

    Attributes:
        record: The message of the protocol.
        attributes: Its attributes.
        scope: The name of its instrumentation scope.
        resource: The attributes of its resource.
    """

    record: Any
    attributes: dict[str, Any]
    scope: str
    resource: dict[str, Any]


class Collector:
    """
    What the server got.

    Attributes:
        url: Where it takes log records.
        records: All that it took, in order.
        posts: The number of requests.
        status: The status with which it answers; it takes nothing unless that is 200.
        opened: Clear it to let requests wait until it is set again.
        waiting: Set when a request has come.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}/v1/logs"
        self.records: list[Taken] = []
        self.posts = 0
        self.status = 200
        self.opened = threading.Event()
        self.opened.set()
        self.waiting = threading.Event()

    def bodies(self) -> list[str]:
        """Return the texts of the records."""
        return [taken.record.body.string_value for taken in self.records]

    def take(self, data: bytes) -> None:
        request = ExportLogsServiceRequest.FromString(data)
        for logs in request.resource_logs:
            resource = plain_attributes(logs.resource.attributes)
            for scoped in logs.scope_logs:
                for record in scoped.log_records:
                    self.records.append(Taken(record, plain_attributes(record.attributes), scoped.scope.name, resource))


def plain_attributes(pairs: Any) -> dict[str, Any]:
    """Return attributes as a dict of plain values."""
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return plain_attributes(value.kvlist_value.values)
    return getattr(value, kind)


@contextlib.contextmanager
def serve() -> Iterator[Collector]:
    """Run a collector in a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open, as those to a real collector

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                data = gzip.decompress(data)
            collector.posts += 1
            collector.waiting.set()
            collector.opened.wait(30)
            if collector.status == 200:
                collector.take(data)
            answer = ExportLogsServiceResponse().SerializeToString()
            self.send_response(collector.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    collector = Collector(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield collector
    finally:
        collector.opened.set()
        server.shutdown()
        thread.join()
        server.server_close()
