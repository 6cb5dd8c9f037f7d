"""What of a file makes up its set, and what is taken out of it, on the way through ``import_samples``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evaluations.capture.sampling import Quota
from evaluations.models import Sample, SampleContent, Workload
from evaluations.services.errors import Refused
from tests.evaluations.services.test_samples import TABLES, counts, line, log, members, take_in, workload

__all__ = ["workload"]  # a fixture

pytestmark = pytest.mark.django_db


def test_edge_cases_get_their_quota_and_the_rest_its_proportions(workload: Workload, tmp_path: Path) -> None:
    def kind(number: int) -> dict[str, str]:
        edge = {"edge": "emoji"} if number >= 48 else {}
        return {"language": "en" if number % 4 else "de", **edge}

    path = log(tmp_path, [line(number, segments=kind(number)) for number in range(50)])
    wanted = [Quota("edge", "emoji", 2)]
    report = take_in(workload, path, take=10, stratify="language", quotas=wanted)
    assert report.sample_set is not None
    chosen = Sample.objects.filter(external_id__in=members(report.sample_set))
    assert [chosen.count(), chosen.filter(segments__edge="emoji").count()] == [10, 2]
    assert 1 <= chosen.filter(segments__language="de").count() <= 4
    assert report.sample_set.method["quotas"] == [{"segment": "edge", "value": "emoji", "n": 2}]
    assert take_in(workload, path, take=10, stratify="language", quotas=wanted).sample_set == report.sample_set


def test_one_conversation_gives_at_most_its_cap_and_only_the_newest_are_taken(
    workload: Workload, tmp_path: Path
) -> None:
    rows = [
        line(number, cluster="talk" if number < 12 else None, occurred_at=f"2026-05-{number + 1:02}T00:00:00Z")
        for number in range(20)
    ]
    report = take_in(workload, log(tmp_path, rows), per_cluster=2, newest=9)
    chosen = members(report.sample_set)
    assert {f"r{number}" for number in range(12, 20)} < set(chosen)
    assert (len(chosen), report.stored, Sample.objects.count()) == (9, 9, 20)
    assert report.sample_set is not None
    assert (report.sample_set.method["per_cluster"], report.sample_set.method["newest"]) == (2, 9)


def test_the_sites_own_rules_redact_on_every_path_and_those_of_one_import_add_to_them(
    workload: Workload, tmp_path: Path, settings: Any
) -> None:
    dictionary = tmp_path / "names.txt"
    dictionary.write_text("# of our people\nAna Ortiz\n\n", encoding="utf-8")
    settings.PILOTS_REDACT_NAMES_FILE = str(dictionary)
    settings.PILOTS_REDACT_PATTERNS = {"ticket": r"T-\d+"}
    settings.PILOTS_REDACT_REGION = "DE"
    text = "Ana Ortiz asks about T-12 and K-9: 030 901820, SSN 078-05-1120"
    rows = [line(1, request={"messages": [{"role": "user", "content": text}]})]
    report = take_in(workload, log(tmp_path, rows), patterns={"customer": r"K-\d+"})
    assert report.redacted == {"customer": 1, "name": 1, "national_id": 1, "phone": 1, "ticket": 1}
    said = SampleContent.objects.get().request["messages"][0]["content"]
    assert said == "[NAME] asks about [TICKET] and [CUSTOMER]: [PHONE], SSN [NATIONAL_ID]"


def test_a_dictionary_or_pattern_that_cannot_be_used_refuses_the_import(workload: Workload, tmp_path: Path) -> None:
    path = log(tmp_path, [line(1)])
    with pytest.raises(Refused, match=r"^none\.txt: cannot be opened"):
        take_in(workload, path, names=tmp_path / "none.txt")
    with pytest.raises(Refused, match="the pattern for 'x' is not a regular expression"):
        take_in(workload, path, patterns={"x": "("})
    assert counts() == [0] * len(TABLES)


def test_what_is_said_of_a_bad_line_quotes_no_secret(workload: Workload, tmp_path: Path) -> None:
    for bad in ({"occurred_at": "ana@example.com"}, {"ana@example.com": 1}, {"segments": {"ana@example.com": 1}}):
        with pytest.raises(Refused) as refusal:
            take_in(workload, log(tmp_path, [line(1, **bad)]))
        assert "ana@" not in refusal.value.message
    report = take_in(workload, log(tmp_path, [line(1), line(2, **bad)]), skip_bad=True)
    assert report.rejects_file is not None
    assert "ana@" not in report.rejects_file.read_text()


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"newest": 0}, "newest", "must be at least 1"),
        ({"per_cluster": -1}, "per_cluster", "must be at least 1"),
        ({"quotas": [Quota("a", "b", 1)]}, "quotas", "needs take: without it every sample is a member"),
        ({"take": 2, "quotas": [Quota("a", "b", 3)]}, "quotas", "are together more than the 2 that are taken"),
        ({"take": 2, "quotas": [Quota("a", "b", 0)]}, "quotas", "must each be of at least 1"),
        ({"take": 2, "quotas": [Quota("a", "b", 1)]}, "quotas", "no sample has the segment 'a' with 'b'"),
    ],
)
def test_choices_that_choose_nothing_are_refused(
    workload: Workload, tmp_path: Path, options: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(Refused) as refusal:
        take_in(workload, log(tmp_path, [line(1)]), **options)
    assert (refusal.value.field, refusal.value.message) == (field, message)
    assert counts() == [0] * len(TABLES)
