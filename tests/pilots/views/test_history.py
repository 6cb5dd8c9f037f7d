"""Bring your spreadsheet on the pages: columns mapped, rows checked, a dry run, and only then the import."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import TeamRole
from evaluations.models import AuditEvent, Team
from pilots.enums import PilotStatus, UploadState
from pilots.models import HistoryImport, Pilot, PilotEvent, Upload
from pilots.services.lifecycle import record_follow_up
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db

OURS = "team,workload,pilot,incumbent,candidate,event,occurred_at,reason,attachment"
THEIRS = "Customer;Use case;Project;From;To;Status;Date;Cause;Ticket"
CUTOVER = "support,Triage,triage-1,gpt-4,mai-1,cutover,2026-03-02,,"
ROLLBACK = "support,Triage,triage-1,gpt-4,mai-1,rollback,2026-05-11,quality,incident:INC-7"


@pytest.fixture
def owner(data_dir: Path) -> Client:
    """Whoever runs the site, before there is anything on it."""
    return session(make.user("root", is_superuser=True))


@pytest.fixture
def ana(data_dir: Path) -> Client:
    return session(make.member(make.team("support"), "ana"))


def bring(client: Client, *rows: str, file_name: str = "past.csv", content: bytes | None = None) -> HttpResponse:
    given = "\n".join(rows).encode() if content is None else content
    data = {"file": SimpleUploadedFile(file_name, given)}
    return client.post(reverse("pilots:bring-history"), data)  # type: ignore[return-value]


def press(client: Client, address: str, do: str, **columns: str) -> HttpResponse:
    mapping = Upload.objects.latest("pk").options["mapping"]
    return client.post(address, {**mapping, **columns, "do": do})  # type: ignore[return-value]


def test_a_spreadsheet_fills_an_empty_site_in_three_steps(owner: Client, data_dir: Path) -> None:
    assert reverse("pilots:bring-history") in owner.get(reverse("pilots:home")).content.decode()
    address = bring(owner, OURS, CUTOVER, ROLLBACK)["Location"]
    shown = owner.get(address).content.decode()
    assert ["2 rows" in shown, "incident:INC-7" in shown, "Check all rows" in shown] == [False, True, True]
    checked = press(owner, address, "check").content.decode()
    assert ["Every row can be read" in checked, 'value="import"' in checked] == [True, True]
    assert (Pilot.objects.count(), Team.objects.count(), Upload.objects.get().state) == (0, 0, UploadState.DRAFT)

    assert press(owner, address, "import")["Location"] == address
    assert "are imported" in owner.get(address).content.decode()
    assert [str(kind) for kind in PilotEvent.objects.values_list("kind", flat=True)] == ["cutover", "rollback"]
    assert AuditEvent.objects.filter(action="upload.confirmed", object_label="past.csv").count() == 1
    assert [path for path in (data_dir / "brought").rglob("*") if path.is_file()] == []
    assert "triage-1" in owner.get(reverse("pilots:retention")).content.decode()
    # Pressed twice, it is imported once.
    assert "are imported" in press(owner, address, "import").content.decode()
    assert PilotEvent.objects.count() == 2


def test_columns_are_guessed_from_what_people_call_them_and_can_be_changed(owner: Client) -> None:
    rows = [row.replace(",", ";") for row in (CUTOVER, ROLLBACK)]
    address = bring(owner, THEIRS + ";Other date", *(f"{row};2026-06-01" for row in rows))["Location"]
    guessed = Upload.objects.get().options["mapping"]
    assert guessed == {
        "team": "customer",
        "workload": "use_case",
        "pilot": "project",
        "incumbent": "from",
        "candidate": "to",
        "event": "status",
        "occurred_at": "date",
        "reason": "cause",
        "attachment": "ticket",
    }
    press(owner, address, "check", occurred_at="other_date")
    assert Upload.objects.get().options["mapping"]["occurred_at"] == "other_date"
    assert press(owner, address, "import").status_code == 302
    assert {at.date().isoformat() for at in PilotEvent.objects.values_list("occurred_at", flat=True)} == {"2026-06-01"}


def test_a_column_that_is_missing_or_chosen_twice_is_said_at_its_field(owner: Client) -> None:
    address = bring(owner, OURS.replace("event", "column 7"), CUTOVER)["Location"]
    for given, said in (({"event": ""}, "Choose the column that holds it."), ({"event": "team"}, "more than once")):
        response = press(owner, address, "import", **given)
        assert (response.status_code, said in response.content.decode()) == (400, True)
    assert press(owner, address, "import", event="nonsense").status_code == 400
    assert press(owner, address, "import", event="column_7").status_code == 302


def test_every_bad_row_is_shown_with_what_stands_in_it(owner: Client) -> None:
    bad = [
        CUTOVER.replace("cutover", "moved"),
        CUTOVER.replace("2026-03-02", "yesterday"),
        CUTOVER.replace("gpt-4", ""),
    ]
    address = bring(owner, OURS, CUTOVER, *bad)["Location"]
    for response in (owner.get(address), press(owner, address, "import")):
        shown = response.content.decode()
        for said in ("&#x27;moved&#x27; is not one of", "&#x27;yesterday&#x27; is not a date", "is empty"):
            assert said in shown
        assert 'class="num">3</th>' in shown
    assert Pilot.objects.count() == 0


def test_what_breaks_a_rule_of_a_pilots_life_is_refused_with_its_line(owner: Client) -> None:
    address = bring(owner, OURS, CUTOVER, CUTOVER.replace("cutover", "rollback"))["Location"]
    for do in ("check", "import"):
        response = press(owner, address, do)
        assert (response.status_code, "line 3: reason" in response.content.decode()) == (400, True)
    assert (Pilot.objects.count(), Team.objects.count()) == (0, 0)


def test_a_manager_brings_the_history_of_their_own_teams_only(ana: Client) -> None:
    make.switched_pilot("triage-2", workload=make.workload("w", "legal"))
    for row, said in (
        (CUTOVER.replace("support", "legal"), "is not a team that you manage"),
        (CUTOVER.replace("support", "new team"), "is not a team that you manage"),
        (CUTOVER.replace("triage-1", "triage-2"), "is taken"),
    ):
        response = press(ana, bring(ana, OURS, row)["Location"], "import")
        assert (response.status_code, said in response.content.decode()) == (400, True)
    assert (Pilot.objects.count(), Team.objects.count()) == (1, 2)
    assert press(ana, bring(ana, OURS, CUTOVER)["Location"], "import").status_code == 302
    assert Pilot.objects.get(slug="triage-1").workload.team.slug == "support"


def test_a_file_is_its_bringers_and_nobody_below_a_manager_brings_one(ana: Client) -> None:
    address = bring(ana, OURS, CUTOVER)["Location"]
    team = make.team("support")
    colleague, viewer = session(make.member(team)), session(make.member(team, role=TeamRole.VIEWER))
    addresses = [reverse("pilots:bring-history"), address]
    found = [[client.get(one).status_code for one in addresses] for client in (ana, colleague, viewer, Client())]
    assert found == [[200, 200], [200, 404], [403, 403], [302, 302]]
    assert [bring(client, OURS, CUTOVER).status_code for client in (viewer, Client())] == [403, 302]
    listed = [client.get(addresses[0]).content.decode().count(address) for client in (ana, colleague)]
    assert listed == [1, 0]
    assert reverse("pilots:bring-history") not in viewer.get(reverse("pilots:home")).content.decode()


def _bomb() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", "<sheetData>" + " " * 40_000_000)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "file_name", "said"),
    [
        (b"", "past.csv", "The file is empty"),
        (OURS.encode(), "past.csv", "holds no row below its column names"),
        (b"PK\x03\x04", "past.xlsx", "damaged workbook"),
        (_bomb(), "past.xlsx", "a part unpacks to more than 100 times its size"),
    ],
    ids=["empty", "header only", "no workbook", "bomb"],
)
def test_what_is_no_table_is_refused_at_once(
    owner: Client, data_dir: Path, content: bytes, file_name: str, said: str
) -> None:
    response = bring(owner, content=content, file_name=file_name)
    assert (response.status_code, said.lower() in response.content.decode().lower()) == (400, True)
    assert (Upload.objects.count(), list((data_dir / "brought").glob("*"))) == (0, [])


def test_more_than_the_limit_is_refused_before_it_is_read(owner: Client, settings: Any) -> None:
    settings.PILOTS_HISTORY_MAX_BYTES = 1024 * 1024
    response = bring(owner, content=b"x" * 2 * 1024 * 1024)
    assert (response.status_code, "larger than 1 MB" in response.content.decode()) == (413, True)
    assert not Upload.objects.exists()


def test_a_file_that_was_not_confirmed_in_time_can_be_brought_again(owner: Client) -> None:
    address = bring(owner, OURS, CUTOVER)["Location"]
    Path(Upload.objects.get().path).unlink()
    assert "no longer kept" in owner.get(address).content.decode()
    assert "no longer kept" in press(owner, address, "import").content.decode()


def test_an_import_is_listed_and_undone_after_a_question(owner: Client, ana: Client) -> None:
    address = bring(owner, OURS, CUTOVER, ROLLBACK)["Location"]
    press(owner, address, "import")
    row = HistoryImport.objects.get()
    undo = reverse("pilots:undo-import", args=[row.pk])
    listed = owner.get(reverse("pilots:history-imports")).content.decode()
    assert ["past.csv" in listed, undo in listed] == [True, True]
    assert undo in owner.get(address).content.decode()
    asked = owner.get(undo).content.decode()
    assert ">2</span> events of" in asked
    assert Pilot.objects.get().status is PilotStatus.ROLLED_BACK
    # Another person's import is not there.
    assert ana.get(undo).status_code == ana.post(undo).status_code == 404
    assert row.file_name not in ana.get(reverse("pilots:history-imports")).content.decode()
    assert owner.post(undo)["Location"] == reverse("pilots:history-imports")
    assert (Pilot.objects.get().status, Upload.objects.get().state) == (PilotStatus.VOID, UploadState.UNDONE)
    assert "This import was undone" in owner.get(address).content.decode()
    assert owner.post(undo).status_code == 409
    # What it told of is in no list; its own page says so.
    assert "triage-1" not in owner.get(reverse("pilots:list")).content.decode()
    assert "Triage" not in owner.get(reverse("pilots:workloads")).content.decode()
    page = owner.get(reverse("pilots:pilot", args=["triage-1"])).content.decode()
    assert "Everything on record of this pilot was undone" in page


def test_what_cannot_be_undone_is_said_and_nothing_changes(owner: Client) -> None:
    press(owner, bring(owner, OURS, CUTOVER)["Location"], "import")
    pilot = Pilot.objects.get()
    record_follow_up(pilot=pilot, by=make.actor("cleo"), at=timezone.now())
    response = owner.post(reverse("pilots:undo-import", args=[HistoryImport.objects.get().pk]))
    assert response.status_code == 400
    assert "Triage-1: something came after the import (follow-up of" in response.content.decode()
    assert Pilot.objects.get().status is PilotStatus.SWITCHED


def test_nobody_below_a_manager_sees_or_undoes_imports(data_dir: Path) -> None:
    viewer = session(make.member(make.team("support"), "vic", TeamRole.VIEWER))
    assert viewer.get(reverse("pilots:history-imports")).status_code == 403
    assert viewer.post(reverse("pilots:undo-import", args=[1])).status_code == 403
