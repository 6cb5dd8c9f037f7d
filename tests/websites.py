"""The bundled site's web server as a real process, and a signed-in browser for it.

Public surface: ``WebSite``, ``Reply``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from pilots.management.processes import web_server
from tests.services import free_port
from tests.workers import ROOT, environment

_TOKEN = "c" * 32


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float


class WebSite:
    """Serves within the block, on the test's database; requests are ``person``'s."""

    def __init__(self, log: Path, *, person: User, broker: str | None = None) -> None:
        client = Client()
        client.force_login(person)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self._cookies = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={_TOKEN}"
        self._port = free_port()
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, *web_server(f"127.0.0.1:{self._port}")],
            cwd=ROOT,
            env=environment(broker=broker),
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.get("/healthz")
            except ConnectionError:
                assert time.monotonic() < deadline, "the web server does not start"
                time.sleep(0.1)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def get(self, path: str) -> Reply:
        return self._ask("GET", path, None)

    def post(self, path: str, form: Mapping[str, str]) -> Reply:
        return self._ask("POST", path, urlencode({**form, "csrfmiddlewaretoken": _TOKEN}))

    def _ask(self, method: str, path: str, body: str | None) -> Reply:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {"Cookie": self._cookies, "Content-Type": "application/x-www-form-urlencoded"}
        started = time.monotonic()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        return Reply(response.status, dict(response.headers), text, time.monotonic() - started)
