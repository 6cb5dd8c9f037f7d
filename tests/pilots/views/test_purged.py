"""Pages, API and exports of a run whose contents were purged say so instead of failing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from evaluations.models import Team
from evaluations.services.audit import Actor
from evaluations.services.purging import purge_contents
from pilots.services.exports import write_export
from tests import factories as make
from tests.pilots.api.programs import Program
from tests.pilots.exporters.books import table
from tests.pilots.views.people import evaluated_pilot, session

pytestmark = pytest.mark.django_db(transaction=True)


def test_purged_content_is_said_everywhere(data_dir: Path) -> None:
    _, run = evaluated_pilot(n=2)
    purge_contents(by=make.actor(), at=timezone.now(), older_than=0)
    person = make.member(Team.objects.get())
    page = session(person).get(reverse("pilots:answer", args=[run.pk, 1]))
    text = page.content.decode()
    assert (page.status_code, text.count("Content purged"), "What is" in text) == (200, 3, False)
    for name in ("run", "answers"):
        assert session(person).get(reverse(f"pilots:{name}", args=[run.pk])).status_code == 200
    row = Program(person).get(f"replay-runs/{run.pk}/completions?content=true")["results"][0]
    assert row["content"].pop("purged_at")
    assert row["content"] == {"request": None, "reference": None, "text": None, "message": None, "error": ""}
    assert row["scores"] == {"answered": 1.0}
    for key in ("completions", "pilot", "evidence"):
        wanted = {"pilot": "triage-to-new"} if key == "pilot" else {}
        book = Path(write_export(key=key, filters=wanted, by=Actor.command("test"), at=timezone.now()).path)
        if key == "completions":
            rows = table(book, "Completions")
            assert {(one["Prompt"], one["Answer"]) for one in rows} == {("content purged", "content purged")}
