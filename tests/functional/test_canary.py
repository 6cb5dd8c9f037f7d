"""Secrets and personal data in a log reach no vendor, page, export, audit or log line; nor do those of a bad line."""

from __future__ import annotations

import io
import json
import logging
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from evaluations.models import AuditEvent, Completion, RecordedContent, Sample, SampleContent
from evaluations.services.audit import Actor
from evaluations.services.samples import import_samples
from pilots.services.exports import write_export
from pilots.services.replays import start_replay
from tests import factories as make
from tests.pilots.exporters.replayed import work
from tests.pilots.views.people import planned_pilot, session

pytestmark = pytest.mark.django_db(transaction=True)

CANARIES = {
    "secret": "sk-canary-4f9a0c1e7b22d8",
    "email": "canary.bird@example.com",
    "card": "4111 1111 1111 1111",
    "iban": "GB29 NWBK 6016 1331 9268 19",
    "national id": "078-05-1120",
    "ip": "203.0.113.77",
    "phone": "+44 20 7946 0958",
    "name": "Canarina Featherstone",
    "ticket": "CANARY-991",
}
ALL = " | ".join(CANARIES.values())
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "model": "new",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}


@contextmanager
def listening_vendor() -> Iterator[tuple[str, list[str]]]:
    """A vendor that answers everything, and keeps what it was sent."""
    heard: list[str] = []

    class Vendor(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
        server.shutdown()
        thread.join()


def captured(number: int) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": json.dumps({"who": ALL})}}
    return {
        "id": f"r{number} {CANARIES['email']}",
        "cluster": f"talk of {CANARIES['name']}",
        "segments": {"customer": CANARIES["email"], "language": "en"},
        "request": {
            "messages": [
                {"role": "system", "content": f"You know {ALL}"},
                {"role": "user", "content": [{"type": "text", "text": f"sample {number}: {ALL}"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": ALL},
            ],
            "user": CANARIES["email"],
        },
        "reference": {"answer": ALL},
        "response": {"text": ALL, "model": "old"},
    }


def unpacked(path: Path) -> str:
    """All parts of a workbook as text; any other file as it is."""
    content = path.read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content.decode()
    with zipfile.ZipFile(path) as archive:
        return "\n".join(archive.read(name).decode(errors="replace") for name in archive.namelist())


def test_a_canary_in_a_log_sings_nowhere(tmp_path: Path, data_dir: Path, settings: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    names = tmp_path / "names.txt"
    names.write_text(CANARIES["name"])
    settings.PILOTS_REDACT_NAMES_FILE = str(names)
    settings.PILOTS_REDACT_PATTERNS = {"ticket": r"CANARY-\d+"}
    log = tmp_path / "log.jsonl"
    bad = [{"id": 1, "request": ALL}, {**captured(9), "occurred_at": CANARIES["email"]}, {CANARIES["email"]: 1}]
    log.write_text("".join(f"{json.dumps(row)}\n" for row in [*map(captured, range(3)), *bad]))

    with listening_vendor() as (url, heard):
        pilot = planned_pilot(url, n=1)
        report = import_samples(
            workload=pilot.workload, path=log, by=make.actor(), at=timezone.now(), skip_bad=True, name="canaries"
        )
        run = start_replay(pilot=pilot, by=make.actor(), at=timezone.now(), sample_set=report.sample_set, enqueue=False)
        work(run)
    assert (report.stored, report.rejected, report.rejects_file is not None) == (3, 3, True)
    assert Completion.objects.filter(arm__run=run).count() == 6

    person = make.member(pilot.workload.team, may_read_content=True)
    client = session(person)
    pages = {
        "run": [run.pk],
        "answers": [run.pk],
        "answer": [run.pk, 0],
        "evidence": [pilot.slug],
        "workload": [pilot.workload.slug],
        "sample-set": [pilot.workload.slug, report.sample_set.pk],  # type: ignore[union-attr]
        "audit": [],
    }
    told = {name: client.get(reverse(f"pilots:{name}", args=given)).content.decode() for name, given in pages.items()}
    for key in ("completions", "pilot"):
        to = tmp_path / f"{key}.xlsx"
        given = {"pilot": [pilot.slug]} if key == "pilot" else {"run": [str(run.pk)]}
        write_export(key=key, filters=given, by=Actor.person(person), at=timezone.now(), output=to)
        told[f"export of {key}"] = unpacked(to)
    told["vendor"] = "\n".join(heard)
    told["log"] = caplog.text
    told["rejects"] = report.rejects_file.read_text()  # type: ignore[union-attr]
    told["audit rows"] = str(list(AuditEvent.objects.values()))
    told["database"] = "".join(str(list(table.objects.values())) for table in (Sample, SampleContent, RecordedContent))
    found = {(place, kind) for place, text in told.items() for kind, canary in CANARIES.items() if canary in text}
    assert found == set()
    # It was all there: the vendor was asked, with the kinds in place of the contents, and pages and files show them.
    for place in ("vendor", "answer", "export of completions", "database"):
        assert "[SECRET]" in told[place], place
