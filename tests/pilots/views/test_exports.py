"""Files that are asked for on the pages: where they stand, to whom they are shown, and the way to try again."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from pilots.enums import ExportState
from pilots.exporters.registry import EXPORTERS
from pilots.models import ExportFile
from pilots.services.export_jobs import write_due_export
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db
OURS = "pilots:export"


@pytest.fixture
def ana(data_dir: Path) -> Client:
    make.switched_pilot("ours", workload=make.workload("ours-w", "support"))
    return session(make.member(make.team("support"), "ana"))


def asked(client: Client, **given: str) -> str:
    response = client.post(reverse("pilots:write-export"), {"key": "portfolio", **given})
    assert response["Location"] == reverse(OURS, args=[ExportFile.objects.latest("pk").pk])
    return str(response["Location"])


def words(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_a_page_tells_where_an_export_stands_until_its_file_can_be_fetched(ana: Client) -> None:
    address = asked(ana)
    live = f"{address}state/?seen="
    waiting = words(ana, address)
    assert "Waiting for a worker" in waiting
    assert f'hx-get="{live}pending"' in waiting
    assert "export-said" not in words(ana, f"{live}pending")  # no news, nothing to read aloud
    assert not list(ExportFile.objects.exclude(file_name=""))  # the request wrote nothing

    ExportFile.objects.update(state=ExportState.WRITING, sheet="Completions", rows=12_500)
    writing = words(ana, f"{live}pending")
    assert ["12,500" in writing, "Completions" in writing, "export-said" in writing] == [True] * 3
    ExportFile.objects.update(state=ExportState.PENDING)

    write_due_export(clock=timezone.now)
    ready = words(ana, f"{live}writing")
    assert "every 1s" not in ready  # nothing is left to ask for
    file = ana.get(ready.split('href="', 1)[1].split('"', 1)[0])
    assert b"".join(file.streaming_content)[:2] == b"PK"  # type: ignore[arg-type]
    assert file["Content-Disposition"].startswith("attachment;")
    assert "It is ready" in words(ana, address)


def test_the_list_asks_again_only_while_something_is_open(ana: Client) -> None:
    asked(ana)
    listed = reverse("pilots:exports")
    assert ["hx-get" in words(ana, listed), "1 not written yet" in words(ana, listed)] == [True, True]
    write_due_export(clock=timezone.now)
    assert 'id="exports-list" hx-get' not in words(ana, listed)


def test_what_failed_says_why_and_can_be_tried_again(ana: Client) -> None:
    address = asked(ana, key="pilot")
    write_due_export(clock=timezone.now)
    assert "name one pilot" in words(ana, address)
    assert "name one pilot" in words(ana, reverse("pilots:exports"))
    for _ in range(2):  # the second finds that it was asked for already
        assert ana.post(f"{address}retry/")["Location"] == address
    assert ExportFile.objects.get().state is ExportState.PENDING
    assert "Nothing was changed" in words(ana, address)


def test_an_export_is_for_the_person_who_asked_for_it(ana: Client) -> None:
    address = asked(ana)
    colleague, stranger = session(make.member(make.team("support"))), Client()
    write_due_export(clock=timezone.now)
    addresses = [address, f"{address}state/", f"{address}file/"]
    assert [colleague.get(one).status_code for one in addresses] == [404] * 3
    assert [stranger.get(one).status_code for one in addresses] == [302] * 3
    assert [client.post(f"{address}retry/").status_code for client in (colleague, stranger)] == [404, 302]
    assert ana.get(f"{address}retry/").status_code == 405
    assert address not in words(colleague, reverse("pilots:exports"))


def test_what_cannot_be_asked_for_is_refused_at_once(ana: Client) -> None:
    for given in (
        {"key": "nonsense"},
        {"as_of": "yesterday"},
        {"audience": "vendor:openai"},  # two vendors side by side
        {"audience": "everybody"},
        {"format": "pdf"},
    ):
        assert ana.post(reverse("pilots:write-export"), {"key": "portfolio", **given}).status_code == 400
    assert not ExportFile.objects.exists()


def test_the_list_offers_every_export_for_each_audience_and_in_each_format(ana: Client) -> None:
    offered = words(ana, reverse("pilots:exports"))
    choices = (*EXPORTERS.keys(), "full", "no-content", "vendor:openai", "xlsx", "csv", "parquet")
    assert [word for word in choices if f'<option value="{word}"' not in offered] == []
    asked(ana, key="completions", audience="no-content", format="csv", team="support")
    export = write_due_export(clock=timezone.now)
    assert export is not None
    assert (export.key, export.for_whom, export.filters["team"]) == ("completions", "no-content", ["support"])
    assert export.file_name.endswith("-no-content.csv")


def test_a_file_that_is_not_written_or_no_longer_there_is_not_found(ana: Client) -> None:
    address = asked(ana)
    assert ana.get(f"{address}file/").status_code == 404
    export = write_due_export(clock=timezone.now)
    assert export is not None
    Path(export.path).unlink()
    assert ana.get(f"{address}file/").status_code == 404
    assert "no longer kept" in words(ana, address)
