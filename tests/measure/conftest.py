"""Fixtures for the tests of `obs_middleware.measure`: a PostgreSQL server, and asyncio as it is in production."""

from __future__ import annotations

import asyncio
import getpass
import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from ports import free_port


def _programs() -> Path | None:
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)  # noqa: PTH207 -- Debian keeps it off the path
    found = shutil.which("postgres")
    return Path(found).parent if found else Path(folders[0]) if folders else None


def _somebody() -> str:
    """Return the name of a user who is not root: PostgreSQL's own user, or else ``nobody``."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@pytest.fixture(name="postgresql", scope="session")
def _postgresql() -> Iterator[dict[str, Any]]:
    """A PostgreSQL server for the tests, on a free port."""
    programs = _programs()
    if programs is None:
        pytest.skip("needs the programs of a PostgreSQL server")
    # PostgreSQL refuses to run as root. The user that runs it must be able to reach the folder.
    name = getpass.getuser() if os.geteuid() else _somebody()
    user: Any = {} if os.geteuid() else {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": ()}
    with tempfile.TemporaryDirectory(prefix="obs-postgresql-") as folder:
        if user:
            shutil.chown(folder, **{key: user[key] for key in ("user", "group")})
        data, port = f"{folder}/data", free_port()

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", data, *arguments]
            quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run(command, check=True, cwd=folder, timeout=120, **quiet, **user)

        run("initdb", "-U", name, "--auth=trust", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-w", "-t", "60", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "postgres",
                "USER": name,
                "HOST": "127.0.0.1",
                "PORT": port,
            }
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture(name="pg", params=["plain", "pool"])
def _pg(request: pytest.FixtureRequest, postgresql: dict[str, Any], django_db_blocker: Any) -> Iterator[str]:
    """The alias of a PostgreSQL database, with psycopg's pool and without."""
    options = {"pool": {"min_size": 1, "max_size": 4}} if request.param == "pool" else {}
    configured = connections.configure_settings(
        {**connections.settings, "pg": {**postgresql, "OPTIONS": options, "CONN_HEALTH_CHECKS": False}}
    )
    with django_db_blocker.unblock():
        connections.settings["pg"] = configured["pg"]
        try:
            yield "pg"
        finally:
            connections["pg"].close()
            if request.param == "pool":
                connections["pg"].close_pool()  # type: ignore[attr-defined]  # PostgreSQL's own
            del connections["pg"]
            del connections.settings["pg"]


@pytest.fixture
def without_debug_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let no event loop be in asyncio's debug mode, even in Python's development mode.

    In debug mode, a loop reads source files after it has handed work to a thread, and waits for it only then. A place
    that the thread looks for meanwhile is not that of the coroutine.
    """
    monkeypatch.setattr(asyncio.coroutines, "_is_debug_mode", lambda: False)
