"""
Fetch the parts that the tests in this folder run, into a build folder: ``python tests/shipping/prepare.py build/elk``.

rsyslog of Debian or Ubuntu, unpacked beside the system and not installed; and the artefacts of OpenSearch, where there
are Java 21 or newer and Maven. Nothing is done twice. Prints which engine the tests will use.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST_JAVA = 21
DOWNLOAD = ("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root")
PACKAGES = ("rsyslog", "rsyslog-elasticsearch", "libestr0", "libfastjson4", "liblognorm5")


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


def fetch_opensearch(build: Path) -> None:
    """Copy the artefacts of the engine to ``opensearch/``."""
    target, pom = build / "opensearch", HERE / "pom.xml"
    kept = target / pom.name
    if kept.is_file() and kept.read_bytes() == pom.read_bytes():
        return
    shutil.rmtree(target, ignore_errors=True)
    part = build / "opensearch.part"
    shutil.rmtree(part, ignore_errors=True)
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={part}"]
    subprocess.run(["mvn", "-q", "-B", "-f", str(pom), *copy], check=True)
    shutil.copy(pom, part)
    part.rename(target)


def fetch_rsyslog(build: Path) -> None:
    """Unpack the packages of rsyslog to ``rsyslog/``."""
    target = build / "rsyslog"
    if target.is_dir():
        return
    part = build / "rsyslog.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    if subprocess.run([*DOWNLOAD, *PACKAGES], cwd=part, check=False).returncode:
        # A new machine has no lists of packages, or old ones.
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run([*DOWNLOAD, *PACKAGES], cwd=part, check=True)
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
    fetch_rsyslog(build)
    if java() is not None and shutil.which("mvn") is not None:
        fetch_opensearch(build)
        print("Engine: OpenSearch.")
    else:
        print(f"Engine: osmem-server, for want of Java {OLDEST_JAVA} or newer, or of Maven.")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
