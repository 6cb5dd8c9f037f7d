"""One suite over every registered export, built in or installed: what whoever opens the file relies on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from django.utils import timezone

from evaluations.models import (
    CompletionContent,
    Endpoint,
    Membership,
    ModelVersion,
    PlanVersion,
    ScoreRow,
    Team,
    Vendor,
    Workload,
)
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from pilots.enums import ClaimKind, Reason
from pilots.exporters.marks import digest_in
from pilots.exporters.registry import EXPORTERS
from pilots.models import ExportFile, Pilot
from pilots.services.claims import save_claim
from pilots.services.exports import write_export
from tests import factories as make
from tests.pilots.exporters.books import assert_same_cells, everything_in, recalculated, summary
from tests.pilots.exporters.replayed import replayed_pilot

pytestmark = pytest.mark.django_db(transaction=True)

BY = Actor.command("test")
CONTENT = "canary-7f3a"  # in every prompt, reference, answer, and what was said of them
KEYS = sorted(EXPORTERS.keys())
WITH_COPIES = [key for key in KEYS if getattr(EXPORTERS.get(key), "vendor_copies", False)]
# Names that a copy for Microsoft must not hold: teams, workloads, pilots, people, and other vendors' models.
NAMES = ("zebra", "Zebra", "quokka", "Quokka", "wombat", "Wombat", "omega-rival", "ida-owner", "claude-rival", "gpt-4")


@pytest.fixture
def world(data_dir: Path) -> Iterator[None]:
    """A replayed pilot with content, two others that moved, and claims; all with names that stand out."""
    pilot = replayed_pilot("quokka-to-new", n=12, behaviours={"new": {"behaviour": "flaky"}})
    Team.objects.filter(slug="support").update(slug="zebra", name="Zebra division")
    Workload.objects.filter(slug="triage").update(slug="quokka", name="Quokka triage")
    ModelVersion.objects.filter(slug="old").update(slug="omega-rival")
    Endpoint.objects.filter(slug="old-prod").update(slug="omega-rival-prod")
    Vendor.objects.filter(slug="microsoft").update(name="Microsoft")
    Pilot.objects.filter(pk=pilot.pk).update(owner=make.user("ida-owner"))
    version = PlanVersion.objects.get()
    version.document["arms"]["candidate"]["request"] = {"system_prefix": f"{CONTENT} first"}
    version.save()
    for content in CompletionContent.objects.select_related("completion__sample__content"):
        content.text = f"={CONTENT} answered"
        content.save()
        completion = content.completion
        completion.error = f"{CONTENT} repeated by the vendor"
        completion.save()
        asked = completion.sample.content
        asked.request["messages"][0]["content"] = f"{CONTENT} asked"
        asked.reference = f"{CONTENT} expected"
        asked.save()
    ScoreRow.objects.update(detail=f"{CONTENT} compared")
    wombat = make.workload("wombat", "wombat-team", name="Wombat letters")
    make.rolled_back_pilot("wombat-to-mai", workload=wombat, reason=Reason.COST)
    make.switched_pilot("wombat-to-claude", workload=wombat, candidate=make.model("claude-rival", "anthropic"))
    for model, kind in (("new", ClaimKind.QUALITY), ("new", ClaimKind.PROVENANCE), ("gpt-4", ClaimKind.COST)):
        save_claim(
            model=ModelVersion.objects.get(slug=model),
            words=f"the best in {kind}",
            kind=kind,
            source="https://example.com/news",
            stated_on=date(2026, 1, 2),
            by=make.actor(),
            at=timezone.now(),
        )
    return


def export(key: str, audience: str = "full", by: Actor = BY, **filters: str) -> ExportFile:
    asked = {"pilot": "quokka-to-new"} if key == "pilot" else {}
    return write_export(key=key, filters=asked | filters, by=by, at=timezone.now(), audience=audience)


def test_the_exports_of_the_contract_are_there() -> None:
    assert set(KEYS) >= {"portfolio", "retention", "pilot", "evidence", "claims", "completions"}
    assert set(WITH_COPIES) >= {"retention", "evidence", "claims", "completions"}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.usefixtures("world")
def test_recalculating_gives_what_is_stored_and_reported(key: str, tmp_path: Path) -> None:
    book = Path(export(key).path)
    checks = {figure: check for figure, (_, _, check) in summary(book).items()}
    assert len(checks) >= 3
    assert set(checks.values()) == {"equal"}
    again = recalculated(book, tmp_path)
    assert_same_cells(book, again)
    assert {check for _, _, check in summary(again).values()} == {"equal"}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.usefixtures("world")
def test_without_content_no_part_of_the_file_holds_any(key: str) -> None:
    reader = make.user()
    for team in Team.objects.all():
        Membership.objects.create(team=team, user=reader, role="viewer", may_read_content=False)
    written = [export(key, "no-content"), export(key, by=Actor.person(reader))]
    written += [export(key, "vendor:microsoft")] if key in WITH_COPIES else []
    for one in written:
        assert CONTENT.encode() not in everything_in(Path(one.path)), one.for_whom
        assert one.file_name.endswith(".xlsx")
    assert (CONTENT.encode() in everything_in(Path(export(key).path))) == (key in ("pilot", "completions"))


@pytest.mark.parametrize("key", WITH_COPIES)
@pytest.mark.usefixtures("world")
def test_a_vendors_copy_names_nobody_and_says_so(key: str, tmp_path: Path) -> None:
    written = export(key, "vendor:microsoft")
    parts = everything_in(Path(written.path)).decode()
    assert [name for name in NAMES if name in parts] == []
    assert (written.for_whom, "Microsoft" in parts) == ("vendor:microsoft", True)
    cover = [str(cell.value) for row in openpyxl.load_workbook(written.path)["Cover"].iter_rows() for cell in row]
    left_out = cover[cover.index("Left out") + 1]
    assert left_out.startswith("Every row that is not about a model of Microsoft.\n")
    assert "names of teams" in left_out
    checks = {check for _, _, check in summary(recalculated(Path(written.path), tmp_path)).values()}
    assert checks == {"equal"}
    # The team that it was made for is named; no other is.
    own = everything_in(Path(export(key, "vendor:microsoft", team="zebra").path)).decode()
    assert [name for name in NAMES if name in own and name.lower() not in ("zebra", "quokka")] == []


@pytest.mark.parametrize("key", [key for key in KEYS if key not in WITH_COPIES])
@pytest.mark.usefixtures("world")
def test_what_knows_no_vendors_copy_writes_none(key: str) -> None:
    with pytest.raises(Refused, match="has no copy for one of them") as refusal:
        export(key, "vendor:microsoft")
    assert refusal.value.field == "audience"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.usefixtures("world")
def test_the_cover_prints_on_one_page_and_the_file_is_recognised(key: str) -> None:
    written = export(key)
    cover = openpyxl.load_workbook(written.path)["Cover"]
    assert (cover.page_setup.fitToWidth, cover.page_setup.fitToHeight) == (1, 1)
    assert digest_in(Path(written.path)) == written.digest != ""


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.usefixtures("world")
def test_each_export_is_a_table_as_well(key: str, tmp_path: Path) -> None:
    asked = {"pilot": "quokka-to-new"} if key == "pilot" else {}
    written = write_export(key=key, filters=asked, by=BY, at=timezone.now(), output=tmp_path / "table.csv")
    [(title, rows)] = written.sheets.items()
    workbook = export(key).sheets
    assert rows == workbook[title] == next(iter(workbook.values()))
