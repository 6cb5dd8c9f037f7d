"""Files of samples that people bring: from the form to the set, and what is refused on the way."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import TeamRole
from evaluations.models import AuditEvent, Sample, SampleContent, SampleSet
from pilots.enums import UploadState
from pilots.models import Upload
from pilots.services.upload_jobs import BROKEN_OFF, read_due_upload
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana(data_dir: Path) -> Client:
    make.workload("triage", "support")
    return session(make.member(make.team("support"), "ana"))


def row(number: int, text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"id": f"s{number}", "request": {"messages": [{"role": "user", "content": text}]}, **more}


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)


def bring(client: Client, content: bytes, file_name: str = "log.jsonl", **given: Any) -> HttpResponse:
    data = {"file": SimpleUploadedFile(file_name, content), "format": "auto", **given}
    return client.post(reverse("pilots:workload", args=["triage"]), data)  # type: ignore[return-value]


def read() -> Upload:
    upload = read_due_upload(clock=timezone.now)
    assert upload is not None
    return upload


def words(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def status(client: Client, address: str) -> int:
    response = client.get(address)
    if response.streaming:
        b"".join(response.streaming_content)  # type: ignore[arg-type]
    return response.status_code


def left_over(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "brought").rglob("*") if path.is_file()]


def test_a_file_is_read_by_a_worker_and_its_page_tells_what_became_of_it(ana: Client, data_dir: Path) -> None:
    content = lines(row(1, "mail bob@example.com"), row(2), row(1, "mail bob@example.com"))
    response = bring(ana, content, "log.jsonl", name="May")
    upload = Upload.objects.get()
    address = reverse("pilots:upload", args=[upload.pk])
    assert (response.status_code, response["Location"]) == (302, address)
    waiting = words(ana, address)
    assert ["Waiting for a worker" in waiting, f'hx-get="{address}state/?seen=pending"' in waiting] == [True, True]
    assert Sample.objects.count() == 0

    Upload.objects.update(state=UploadState.READING, step="20,000 lines read")
    assert "20,000 lines read" in words(ana, f"{address}state/?seen=reading")
    Upload.objects.update(state=UploadState.PENDING, step="")

    assert read().state is UploadState.DONE
    ready = words(ana, f"{address}state/?seen=reading")
    assert ["every 1s" in ready, "upload-said" in ready, "email <span" in ready] == [False, True, True]
    stored = SampleSet.objects.get()
    assert (stored.name, stored.size, stored.frozen_by.username) == ("May", 2, "ana")  # type: ignore[union-attr]
    assert reverse("pilots:sample-set", args=["triage", stored.pk]) in ready
    assert left_over(data_dir) == []  # what was redacted lies nowhere
    assert "bob@" not in str(list(SampleContent.objects.values_list("request", flat=True)))
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", "actor"))
    assert actions[-3:] == [("upload.received", "ana"), ("sample_set.frozen", "ana"), ("upload.read", "ana")]
    assert "May" in words(ana, reverse("pilots:workload", args=["triage"]))


def test_bad_lines_refuse_the_file_or_are_listed_for_download(ana: Client, data_dir: Path) -> None:
    content = lines(row(1), {"id": "s2", "request": "secret of bob@example.com"}, row(3))
    bring(ana, content)
    refused = read()
    assert (refused.state, refused.reason) == (
        UploadState.FAILED,
        "log.jsonl: line 2, request: must be an object, not 'secret of [EMAIL]'",
    )
    assert Sample.objects.count() == 0
    assert "line 2, request" in words(ana, reverse("pilots:upload", args=[refused.pk]))

    bring(ana, content, skip_bad="on")
    done = read()
    assert (done.state, done.result["rejected"], done.result["stored"]) == (UploadState.DONE, 1, 2)
    page = words(ana, reverse("pilots:upload", args=[done.pk]))
    rejects = reverse("pilots:upload-rejects", args=[done.pk])
    assert rejects in page
    listed = b"".join(ana.get(rejects).streaming_content)  # type: ignore[arg-type]
    assert json.loads(listed) == {"line": 2, "field": "request", "reason": "must be an object, not 'secret of [EMAIL]'"}
    assert ana.get(reverse("pilots:upload-rejects", args=[refused.pk])).status_code == 404


def test_what_makes_up_the_set_is_chosen_in_the_form(ana: Client) -> None:
    content = lines(*(row(n, segments={"edge": "long" if n == 7 else "none"}) for n in range(20)))
    bring(ana, content, take="3", seed="5", quotas="edge=long:1\n")
    assert read().result["stored"] == 3
    members = SampleSet.objects.get().members.values_list("sample__external_id", flat=True)
    assert "s7" in members
    assert Sample.objects.count() == 20


def _sheet(cells: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", cells)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "empty.jsonl", "Empty.jsonl: the file is empty."),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 99, "log.jsonl", "Log.jsonl: unknown format"),
        (b"PK\x03\x04 not a zip", "table.xlsx", "table.xlsx: damaged workbook"),
        (b"<html><body>login</body></html>", "table.xlsx", "table.xlsx: is a web page or XML file"),
        (gzip.compress(b"{" + b" " * 40_000_000), "bomb.jsonl.gz", "bomb.jsonl.gz: unfolds to more than 200 times"),
        (_sheet("<sheetData>" + " " * 60_000_000), "bomb.xlsx", "bomb.xlsx: a part unpacks to more than 100 times"),
        (_sheet('<sheetData><row><c r="XFD1048576"/></row>'), "far.xlsx", "far.xlsx: uses 16384 columns"),
    ],
    ids=["empty", "picture", "no zip", "web page", "gz bomb", "xlsx bomb", "far corner"],
)
def test_a_file_that_is_not_what_it_says_is_refused_with_one_sentence(
    ana: Client, data_dir: Path, content: bytes, name: str, sentence: str
) -> None:
    response = bring(ana, content, name, format="auto" if "bomb.jsonl" not in name else "native")
    if response.status_code == 302:
        upload = read()
        assert upload.state is UploadState.FAILED
        assert sentence in upload.reason
        assert sentence in words(ana, reverse("pilots:upload", args=[upload.pk]))
    else:
        assert (response.status_code, sentence in response.content.decode()) == (400, True)
    assert Sample.objects.count() == 0
    assert left_over(data_dir) == []


def test_more_than_the_limit_is_refused_before_it_is_read(ana: Client, data_dir: Path, settings: Any) -> None:
    settings.PILOTS_UPLOAD_MAX_BYTES = 1024 * 1024
    response = bring(ana, b" " * 2 * 1024 * 1024)
    assert (response.status_code, "larger than 1 MB" in response.content.decode()) == (413, True)
    # Just over it, where only the file itself tells.
    response = bring(ana, b" " * (1024 * 1024 + 10))
    assert (response.status_code, "Is larger than 1 MB" in response.content.decode()) == (400, True)
    assert (Upload.objects.count(), left_over(data_dir)) == (0, [])


def test_a_form_that_makes_no_sense_keeps_what_was_typed(ana: Client, data_dir: Path) -> None:
    response = bring(ana, lines(row(1)), stratify="language", name="My May")
    said = response.content.decode()
    assert (response.status_code, "Needs take" in said, 'value="My May"' in said) == (400, True, True)
    for wrong in ({"take": "0"}, {"quotas": "edge"}, {"format": "xml"}, {"take": "1", "quotas": "a=b:2"}):
        assert bring(ana, lines(row(1)), **wrong).status_code == 400
    assert ana.post(reverse("pilots:workload", args=["triage"]), {}).status_code == 400
    assert (Upload.objects.count(), left_over(data_dir)) == (0, [])


def test_only_a_manager_of_the_team_brings_files_and_only_the_team_sees_them(ana: Client) -> None:
    bring(ana, lines(row(1), {"id": 7}), skip_bad="on")
    upload = read()
    team = make.team("support")
    viewer = session(make.member(team, role=TeamRole.VIEWER))
    foreign, stranger = session(make.member(make.team("legal"))), Client()
    names = ("upload", "upload-state", "upload-rejects")
    addresses = [reverse(f"pilots:{name}", args=[upload.pk]) for name in names]
    found = [[status(client, one) for one in addresses] for client in (viewer, foreign, stranger)]
    assert found == [[200] * 3, [404] * 3, [302] * 3]
    posted = [bring(client, lines(row(9))).status_code for client in (viewer, foreign, stranger)]
    assert (posted, Upload.objects.count()) == ([403, 404, 302], 1)
    page = words(viewer, reverse("pilots:workload", args=["triage"]))
    assert "Bring samples" not in page


def test_a_form_of_another_site_brings_nothing(ana: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = ana.cookies
    assert bring(strict, lines(row(1))).status_code == 403
    assert not Upload.objects.exists()


def test_a_worker_that_stops_gives_the_file_back_and_one_that_dies_loses_none(ana: Client, monkeypatch) -> None:
    monkeypatch.setattr("evaluations.services.samples._PROGRESS", 1)
    bring(ana, lines(row(1)))
    given_back = read_due_upload(clock=timezone.now, stopping=lambda: True)
    assert given_back is not None
    assert (given_back.state, given_back.attempts) == (UploadState.PENDING, 0)
    gone = {"state": UploadState.READING, "lease_owner": "gone", "lease_expires_at": timezone.now()}
    Upload.objects.update(**gone, attempts=1)
    assert read().state is UploadState.DONE
    assert read_due_upload(clock=timezone.now) is None


def test_what_takes_its_worker_with_it_is_given_up(ana: Client, data_dir: Path) -> None:
    bring(ana, lines(row(1)))
    Upload.objects.update(attempts=3)
    assert read_due_upload(clock=timezone.now) is None
    upload = Upload.objects.get()
    assert (upload.state, upload.reason, left_over(data_dir)) == (UploadState.FAILED, BROKEN_OFF, [])
