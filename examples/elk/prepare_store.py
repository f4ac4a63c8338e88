"""
Put the templates into a search engine and import the dashboards: `python prepare_store.py elasticsearch|opensearch`.

You set STORE to the URL of the search engine and DASHBOARDS to that of Kibana or OpenSearch Dashboards. Without
DASHBOARDS no dashboard is imported. The script waits for both, and you may run it again. The tests put the templates
into OpenSearch 3.8; the import was not run.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from uuid import uuid4

from obs_middleware.logs.elastic import templates

WAIT_SECONDS = 180
FILES = {"elasticsearch": "kibana.ndjson", "opensearch": "opensearch.ndjson"}


def send(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, body, headers or {}, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        found: bytes = response.read()
    return found


def wait_for(url: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            send("GET", url)
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{url} does not answer: {error}") from error
            time.sleep(1)


def import_dashboards(address: str, file: Path) -> None:
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n\r\n'
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "kbn-xsrf": "true",  # Kibana requires this header, OpenSearch Dashboards the next
        "osd-xsrf": "true",
    }
    body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    said = json.loads(send("POST", f"{address}/api/saved_objects/_import?overwrite=true", body, headers))
    print(f"{said.get('successCount', 0)} objects imported from {file.name}.")


def main(product: str) -> None:
    store = os.environ.get("STORE", "http://127.0.0.1:9200")
    wait_for(f"{store}/_cluster/health")
    for path, template in templates(
        "shop", product="opensearch" if product == "opensearch" else "elasticsearch"
    ).items():
        send("PUT", f"{store}/{path}", json.dumps(template).encode(), {"Content-Type": "application/json"})
        print(f"PUT {path}")
    dashboards = os.environ.get("DASHBOARDS")
    if dashboards:
        here = Path(__file__).resolve().parent
        wait_for(f"{dashboards}/api/status")
        import_dashboards(dashboards, next(here.rglob(FILES[product])))


if __name__ == "__main__":
    main(sys.argv[1])
