"""
Fetch the parts that the tests in this folder run: ``python tests/shipping/prepare.py build/elk``.

Into the build folder go rsyslog and syslog-ng of Debian or Ubuntu, unpacked beside the system and not installed; and,
where there are Java 21 or newer and Maven, the artefacts of OpenSearch and Elasticsearch 7.10. Programs in Go take
minutes to build, so they are kept outside the clone: see `golang`. Nothing is done twice. Prints what the tests use.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from shipping import golang

HERE = Path(__file__).resolve().parent
OLDEST_JAVA = 21
DOWNLOAD = ("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root")
PACKAGES = {
    "rsyslog": ("rsyslog", "rsyslog-elasticsearch", "libestr0", "libfastjson4", "liblognorm5"),
    # The libraries are those that a small system lacks.
    "syslog-ng": (
        "syslog-ng-core",
        "syslog-ng-mod-http",
        "libivykis0",
        "libjson-c5",
        "libnet1",
        "libpcre3",
        "libwrap0",
    ),
}
ENGINES = ("opensearch", "elasticsearch-7")


def java() -> str | None:
    """Return the path of a Java that OpenSearch runs on; None if none is installed."""
    return next((path for path in _javas() if _version(path) >= OLDEST_JAVA), None)


def _javas() -> Iterator[str]:
    if home := os.environ.get("JAVA_HOME"):
        yield str(Path(home, "bin", "java"))
    if path := shutil.which("java"):
        yield path
    yield from sorted(map(str, Path("/usr/lib/jvm").glob("*/bin/java")))


def _version(path: str) -> int:
    try:
        said = subprocess.run([path, "-version"], check=True, capture_output=True, text=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def fetch_engine(build: Path, name: str) -> None:
    """Copy the artefacts of a search engine to the folder *name*."""
    target, pom = build / name, HERE / "engines" / f"{name}.xml"
    kept = target / pom.name
    if kept.is_file() and kept.read_bytes() == pom.read_bytes():
        return
    shutil.rmtree(target, ignore_errors=True)
    part = build / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={part}"]
    subprocess.run(["mvn", "-q", "-B", "-f", str(pom), *copy], check=True)
    shutil.copy(pom, part)
    part.rename(target)


def fetch_packages(build: Path, name: str) -> None:
    """Unpack the packages of a shipper to the folder *name*."""
    target = build / name
    if target.is_dir():
        return
    part = build / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    command = [*DOWNLOAD, *PACKAGES[name]]
    if subprocess.run(command, cwd=part, check=False).returncode:
        # A new machine has no lists of packages, or old ones.
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(command, cwd=part, check=True)
    for package in sorted(part.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, part], check=True)
        package.unlink()
    part.rename(target)


def main(build: Path) -> int:
    """Prepare *build*, and print what this machine lacks."""
    build.mkdir(parents=True, exist_ok=True)
    if shutil.which("apt-get") is None:
        print("rsyslog comes from Debian's packages here, and there is no apt-get.", file=sys.stderr)
        return 1
    for name in PACKAGES:
        fetch_packages(build, name)
    if java() is not None and shutil.which("mvn") is not None:
        for name in ENGINES:
            fetch_engine(build, name)
        print("Engine: OpenSearch; the tests of Elasticsearch 7.10 run too.")
    else:
        print(f"Engine: osmem-server, for want of Java {OLDEST_JAVA} or newer, or of Maven.")
    if reason := golang.missing():
        print(f"Without the OpenTelemetry collector and VictoriaLogs: {reason}.")
    else:
        for program in golang.PROGRAMS:
            print(f"{program.name}: {golang.build(program)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
