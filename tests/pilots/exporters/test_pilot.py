"""One pilot's workbook: counts, tokens and money of the run document, and no content for those who may not read it."""

from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from evaluations.enums import AuditSource, TeamRole
from evaluations.models import CompletionContent, Membership, PlanVersion, ReplayRun, ScoreRow
from evaluations.selectors.progress import run_document
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from pilots.enums import Audience
from pilots.services.exports import write_export
from tests import factories as make
from tests.pilots.exporters.books import assert_same_cells, everything_in, recalculated, summary, table
from tests.pilots.exporters.replayed import replayed_pilot

pytestmark = pytest.mark.django_db(transaction=True)
BY = Actor.command("test")
CANARY = "canary-7f3a"
UNRELIABLE = {"new": {"behaviour": "flaky"}, "old": {"behaviour": "refusing"}}
TOKENS = {
    "input_uncached": "Input, uncached tokens",
    "cache_read": "Cache read tokens",
    "cache_write": "Cache write tokens",
    "output_total": "Output, total tokens",
    "output_visible": "Output, visible tokens",
    "reasoning": "Reasoning tokens",
}


def export(pilot, by: Actor = BY, **given):
    filters = {"pilot": pilot.slug, **given.pop("filters", {})}
    return write_export(key="pilot", filters=filters, by=by, at=timezone.now(), **given)


def person(pilot, *, may_read: bool) -> Actor:
    user = make.user()
    Membership.objects.create(team=pilot.workload.team, user=user, role=TeamRole.VIEWER, may_read_content=may_read)
    return Actor.person(User.objects.get(pk=user.pk))


@pytest.mark.parametrize("recorded", [False, True])
def test_arms_are_the_run_documents(data_dir, tmp_path, recorded) -> None:
    pilot = replayed_pilot(behaviours=UNRELIABLE, recorded=recorded, n=60)
    book = Path(export(pilot).path)
    run = ReplayRun.objects.get()
    document = run_document(run)
    rows = {row["Arm"]: row for row in table(book, "Arms")}
    assert list(rows) == ["incumbent", "candidate"]
    figures = summary(book)
    for role, arm in document["arms"].items():
        row = rows[role]
        assert [row[name] for name in ("Answered", "Failed", "Missing", "Calls", "Retries", "Of unknown cost")] == [
            arm["succeeded"],
            sum(arm["failed"].values()),
            arm["missing"],
            arm["calls"],
            arm["retries"],
            arm["cost"]["unknown_calls"],
        ]
        assert Decimal(str(row["Cost"])).quantize(Decimal("0.000001")) == Decimal(arm["cost"]["amount"]).quantize(
            Decimal("0.000001")
        )
        assert [row[heading] for heading in TOKENS.values()] == [
            "unknown" if arm["tokens"][key] is None else arm["tokens"][key] for key in TOKENS
        ]
        section = next(section for section, _ in figures if section.lower().startswith(role))
        assert section.endswith("(recorded answers)") == arm["recorded"]
        assert figures[section, "Cost (USD)"][0] == pytest.approx(float(arm["cost"]["amount"]), abs=1e-12)
    assert {check for _, _, check in figures.values()} == {"equal"}
    outcomes = {row["Outcome"]: row["Candidate"] for row in table(book, "Outcomes")}
    assert outcomes["answered"] == document["arms"]["candidate"]["succeeded"]
    assert sum(outcomes.values()) == 60
    assert_same_cells(book, recalculated(book, tmp_path))


def test_sums_over_the_raw_rows_are_the_ledgers(data_dir) -> None:
    pilot = replayed_pilot(behaviours=UNRELIABLE, n=30)
    book = Path(export(pilot).path)
    run = ReplayRun.objects.get()
    calls = table(book, "Calls")
    assert len(calls) == run.calls
    assert sum(row["Cost (USD)"] for row in calls) == pytest.approx(float(run.spent_amount), abs=1e-9)
    answers = table(book, "Completions")
    assert len(answers) == run.done == 60
    assert {row["Outcome"]: row["Score: answered"] for row in answers} == {
        "answered": 1.0,
        "refused by the model": "unscored",
    }


def test_criteria_are_the_comparisons(data_dir) -> None:
    pilot = replayed_pilot(n=40)
    book = Path(export(pilot).path)
    [comparison] = run_document(ReplayRun.objects.get())["comparisons"]
    [row] = table(book, "Criteria")
    assert (row["Criterion"], row["Estimate"], row["From"], row["To"], row["In words"]) == (
        comparison["metric"],
        comparison["difference"],
        pytest.approx(comparison["lower"], rel=1e-15),
        pytest.approx(comparison["upper"], rel=1e-15),
        comparison["sentence"],
    )
    assert (row["Samples"], row["Agreed limit"]) == (40, -0.03)
    assert table(book, "Rates") == [{"Criterion": "answered", "Incumbent": 1.0, "Candidate": 1.0}]
    assert summary(book)["Verdict", "answered (primary)"][0] == row["Verdict"]


@pytest.fixture
def with_canaries():
    """Prompts, their agreed prefix, references, answers and what scorers say of them all carry the canary."""
    pilot = replayed_pilot(n=4)
    version = PlanVersion.objects.get()
    version.document["arms"]["candidate"]["request"] = {"system_prefix": f"{CANARY} first"}
    version.save()
    for content in CompletionContent.objects.select_related("completion__sample__content"):
        content.text = f"={CANARY} answered"
        content.save()
        completion = content.completion
        completion.error = f"{CANARY} repeated by the vendor"
        completion.save()
        asked = completion.sample.content
        asked.request["messages"][0]["content"] = f"{CANARY} asked"
        asked.reference = f"{CANARY} expected"
        asked.save()
    ScoreRow.objects.update(detail=f"{CANARY} compared")
    return pilot


def test_content_is_given_to_those_who_may_read_it(with_canaries, data_dir) -> None:
    written = export(with_canaries, by=person(with_canaries, may_read=True))
    assert written.audience is Audience.FULL
    page = openpyxl.load_workbook(written.path)["Completions"]
    heads = [cell.value for cell in page[1]]
    shown = dict(zip(heads, page[2], strict=True))
    assert [shown[name].value for name in ("Prompt", "Reference", "Answer", "What was compared", "Error")] == [
        f'user: {CANARY} asked\n\nsettings: {{\n  "max_completion_tokens": 100\n}}',
        f"{CANARY} expected",
        f"={CANARY} answered",
        f"answered: {CANARY} compared",
        f"{CANARY} repeated by the vendor",
    ]
    assert shown["Answer"].data_type == "s"  # text, whatever it starts with


def test_without_content_no_part_of_the_file_holds_any(with_canaries, data_dir) -> None:
    for written in (
        export(with_canaries, audience=Audience.NO_CONTENT),
        export(with_canaries, by=person(with_canaries, may_read=False)),
        write_export(key="portfolio", filters={}, by=BY, at=timezone.now(), audience=Audience.NO_CONTENT),
    ):
        assert CANARY.encode() not in everything_in(Path(written.path))
        assert written.audience is Audience.NO_CONTENT
        assert written.file_name.endswith("-no-content.xlsx")
    assert CANARY.encode() in everything_in(Path(export(with_canaries).path))


def test_a_run_can_be_picked(data_dir) -> None:
    pilot = replayed_pilot(n=4)
    run = ReplayRun.objects.get()
    assert export(pilot, filters={"run": str(run.pk)}).sheets["Completions"] == 8
    with pytest.raises(Refused, match="no pilot"):
        export(pilot, filters={"run": str(run.pk + 1)})


def test_a_pilot_without_plan_has_a_workbook_too(data_dir) -> None:
    sheets = export(make.switched_pilot("bare")).sheets
    assert (sheets["Periods"], sheets["Criteria"], sheets["Completions"]) == (1, 0, 0)


def test_it_is_about_one_visible_pilot_today(data_dir) -> None:
    pilot = make.pilot("mine")
    outsider = Actor.person(make.member(make.team("others")), AuditSource.API)
    for filters, by, field in (
        ({}, BY, "pilot"),
        ({"pilot": "mine,other"}, BY, "pilot"),
        ({"pilot": "mine", "as_of": "2026-01-01"}, BY, "as_of"),
        ({"pilot": "mine"}, outsider, "pilot"),
    ):
        with pytest.raises(Refused) as refusal:
            write_export(key="pilot", filters=filters, by=by, at=make.NOW)
        assert refusal.value.field == field
    assert pilot.slug == "mine"
