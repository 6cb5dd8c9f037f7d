"""Addresses that nobody should type: an answer in words, never a broken page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db
HUGE = str(2**63)


@pytest.fixture
def ana(db: None) -> Client:
    make.switched_pilot("ours", workload=make.workload("ours-w", "support"))
    return session(make.member(make.team("support"), "ana"))


@pytest.mark.parametrize(
    "path",
    [
        "/pilots/%00/",
        "/pilots/..%2F..%2Fetc/",
        "/pilots/%F0%9F%98%80/",
        f"/runs/{HUGE}/",
        f"/runs/{'9' * 400}/",
        "/runs/-1/",
        "/runs/1e3/",
        f"/runs/1/answers/{HUGE}/",
        f"/exports/{HUGE}/file/",
    ],
)
def test_what_names_nothing_is_not_found(ana: Client, path: str) -> None:
    assert ana.get(path).status_code == 404


@pytest.mark.parametrize(
    ("name", "query", "status"),
    [
        ("list", "page=0", 200),
        ("list", f"page={HUGE}", 200),
        ("list", "page=x&stage=nonsense&sort=team__secret", 200),
        ("list", "vendor=none&team=legal", 200),
        ("list", "as_of=yesterday", 400),
        ("retention", "days=-1", 400),
        ("retention", "by=password", 400),
        ("retention", f"run={HUGE}", 400),
        ("audit", f"before={HUGE}", 200),
        ("audit", "q=%00", 400),
        ("jump", f"q={HUGE}", 200),
        ("jump", "q=%00", 400),
    ],
)
def test_filters_are_read_or_refused(ana: Client, name: str, query: str, status: int) -> None:
    assert ana.get(f"{reverse(f'pilots:{name}')}?{query}").status_code == status


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_other_methods_are_refused(ana: Client, method: str) -> None:
    assert getattr(ana, method)(reverse("pilots:pilot", args=["ours"])).status_code == 405


def test_a_form_without_its_token_is_refused() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make.member(make.team("claims")))
    refused = strict.post(reverse("pilots:choose-team"), {"team": "claims"})
    assert (refused.status_code, "You may not do this" in refused.content.decode()) == (403, True)
