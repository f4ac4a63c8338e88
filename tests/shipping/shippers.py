"""
The shippers that the tests run, each with the configuration of the example, for the files of one folder.

They run as ordinary processes. Their paths and ports are those of the test; `Place` names what is replaced.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from shipping import golang
from shipping.parts import BUILD, ELK, STOP_SECONDS
from shipping.victoria import EXAMPLE

__all__ = ["Collector", "Place", "Rsyslog", "Shipper", "SyslogNg"]


class Place(NamedTuple):
    """A text in the configuration of the example, and the text that replaces it in a test."""

    there: str
    here: str


def adapted(text: str, places: Sequence[Place]) -> str:
    """Return the configuration *text* with all *places* replaced."""
    for place in places:
        assert place.there in text, place.there
        text = text.replace(*place)
    return text


class Shipper:
    """
    A program that reads log files and sends their lines; it keeps its state in *spool*.

    Args:
        spool: An existing folder. The configuration and the output of the program go there, too.
        command: The program and its arguments.
        check: The command that checks the configuration; it ends with 0 if there is no mistake.
        env: The environment of the program.
    """

    def __init__(
        self, spool: Path, command: Sequence[str], check: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        self.spool = spool
        self._command = command
        self._check = check
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """What the program printed."""
        return (self.spool / "output.txt").read_text()

    def check(self) -> str:
        """Check the configuration and return what was printed; raise if it has a mistake."""
        found = subprocess.run(
            self._check, env=self._env, check=False, capture_output=True, text=True, timeout=60, cwd=self.spool
        )
        assert found.returncode == 0, found.stderr
        return found.stdout + found.stderr

    def start(self) -> None:
        """Start the program."""
        with (self.spool / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.spool
            )

    @property
    def is_running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop the program as a deployment does; it keeps its state on the disk."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(STOP_SECONDS)
        self._process = None

    def kill(self) -> None:
        """Kill the program, like a machine that fails."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the program while the block runs."""
        self.start()
        try:
            yield
        finally:
            if self._process is not None:
                self.stop()

    def unparsed(self) -> str:
        """Return the lines that were not JSON."""
        path = self.spool / "unparsed.log"
        return path.read_text(errors="replace") if path.exists() else ""


class Rsyslog(Shipper):
    """rsyslog, from the files of *logs* to *index* of the search engine."""

    def __init__(self, logs: Path, spool: Path, engine_port: int, index: str) -> None:
        config = spool / "rsyslog.conf"
        places = [
            Place("/var/log/shop/", f"{logs}/"),
            Place("/var/spool/rsyslog", str(spool)),
            Place('serverport="9200"', f'serverport="{engine_port}"'),
            Place("logs-shop-prod", index),
        ]
        config.write_text(adapted((ELK / "rsyslog" / "shop.conf").read_text(), places))
        base = BUILD / "rsyslog" / "usr"
        (library,) = (base / "lib").glob("*-linux-gnu")
        command = [str(base / "sbin" / "rsyslogd"), "-f", str(config), "-M", str(library / "rsyslog")]
        run = [*command, "-n", "-i", str(spool / "pid")]
        super().__init__(spool, run, [*command, "-N1"], {"LD_LIBRARY_PATH": str(library)})

    def forget(self) -> None:
        """Delete the read positions, so that rsyslog reads the files again from the start."""
        for path in self.spool.glob("imfile-state*"):
            path.unlink()

    def refused(self) -> list[Any]:
        """Return the rows of the error file: documents that the search engine refused for good."""
        path = self.spool / "es-errors.json"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class SyslogNg(Shipper):
    """syslog-ng, from ``app.json`` in *logs* to *index* of the search engine."""

    def __init__(self, logs: Path, spool: Path, engine_port: int, index: str) -> None:
        config = spool / "syslog-ng.conf"
        places = [
            Place("/var/log/shop/", f"{logs}/"),
            Place("/var/spool/syslog-ng", str(spool)),
            Place("http://127.0.0.1:9200/", f"http://127.0.0.1:{engine_port}/"),
            Place("logs-shop-prod", index),
        ]
        config.write_text(adapted((ELK / "syslog-ng" / "shop.conf").read_text(), places))
        base = BUILD / "syslog-ng"
        (modules,) = (base / "usr" / "lib" / "syslog-ng").glob("3.*")
        libraries = [*base.glob("lib/*-linux-gnu"), *base.glob("usr/lib/*-linux-gnu"), modules.parent]
        command = [str(base / "usr" / "sbin" / "syslog-ng"), "-F", "-f", str(config), f"--module-path={modules}"]
        command += [f"--{name}={spool / name}" for name in ("persist-file", "control", "pidfile")]
        env = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
        super().__init__(spool, [*command, "--no-caps"], [*command, "--syntax-only"], env)


class Collector(Shipper):
    """
    The OpenTelemetry collector, from the files of *logs* to VictoriaLogs.

    The build of the tests has no exporter for a search engine. So every configuration gets the exporter of
    `examples/victorialogs`; everything else in it is run as it is.

    Args:
        example: The configuration.
    """

    def __init__(self, example: Path, logs: Path, spool: Path, victoria_port: int) -> None:
        program = golang.built(golang.COLLECTOR)
        assert program is not None
        own = yaml.safe_load(
            adapted(
                (EXAMPLE / "collector.yaml").read_text(),
                [Place("http://127.0.0.1:9428/", f"http://127.0.0.1:{victoria_port}/")],
            )
        )["exporters"]
        places = [Place("/var/log/shop/", f"{logs}/"), Place("/var/lib/otelcol", str(spool))]
        config = yaml.safe_load(adapted(example.read_text(), places))
        config["exporters"] = own
        for pipeline in config["service"]["pipelines"].values():
            pipeline["exporters"] = list(own)
        # A port that is free on every machine: that of its own metrics is fixed.
        config["service"]["telemetry"] = {"metrics": {"level": "none"}}
        path = spool / "collector.yaml"
        path.write_text(yaml.safe_dump(config))
        command = [str(program), f"--config=file:{path}"]
        super().__init__(spool, command, [str(program), "validate", *command[1:]])
