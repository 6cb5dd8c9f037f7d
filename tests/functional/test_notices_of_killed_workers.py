"""Workers that are killed between sending and saying so: everything arrives, and no attempt is made twice."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from pilots.enums import DeliveryState, NoticeKind
from pilots.models import Delivery, Notice
from pilots.services.webhooks import create_webhook
from tests import factories as make
from tests.receivers import Receiver
from tests.workers import ROOT, environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

NOTICES = 6
# A worker as the scheduler starts one, at a time when leases of earlier ones have run out.
WORK = """
import django; django.setup()
from datetime import timedelta
from django.utils import timezone
from pilots.services.deliveries import deliver_due
from pilots.services.spreading import spread_notices
later = timedelta(seconds=int({seconds}))
spread_notices(now=timezone.now() + later)
deliver_due(clock=lambda: timezone.now() + later)
"""


def work(fault: str, *, seconds: int, mails: Path) -> int:
    return subprocess.run(
        [sys.executable, "-c", WORK.format(seconds=seconds)],
        cwd=ROOT,
        env={**environment(), "PILOTS_FAULT_AT": fault, "EMAIL_URL": f"filemail:///{mails}"},
        check=False,
        start_new_session=True,
        timeout=60,
    ).returncode


def test_everything_arrives_and_no_attempt_is_made_twice(data_dir: Path) -> None:
    team, mails = make.team("support"), data_dir / "mails"
    mails.mkdir()
    owner: Any = make.member(team, "ana")
    get_user_model().objects.filter(pk=owner.pk).update(email="ana@example.com")
    pilot = make.pilot("triage", workload=make.workload("w", "support"), owner=owner)
    Notice.objects.bulk_create(
        Notice(
            key=f"k{n}",
            kind=NoticeKind.CONFLICT_FOUND,
            team=team,
            pilot=pilot,
            words=f"news {n}",
            happened_at=timezone.now(),
        )
        for n in range(NOTICES)
    )
    with Receiver() as receiver:
        create_webhook(
            team=team, url=receiver.url, kinds=[NoticeKind.CONFLICT_FOUND], by=make.actor(), at=timezone.now()
        )
        # The second answer of the batch, then the third mail, then the first of those that are left.
        faults = ["after_webhook:2", "after_mail:3", "after_mail:1"]
        killed = [work(fault, seconds=60 * n, mails=mails) for n, fault in enumerate(faults)]
        assert killed == [-signal.SIGKILL] * 3
        assert work("", seconds=300, mails=mails) == 0
        called = Counter((call.headers["webhook-id"], call.headers["webhook-attempt"]) for call in receiver.calls)
    text = "".join(path.read_text() for path in mails.iterdir())
    written = Counter(re.findall(r"^X-Pilots-Attempt: (\d+)-(\d+)$", text, flags=re.MULTILINE))
    states = Delivery.objects.values_list("state", flat=True)
    assert Counter(map(str, states)) == {str(DeliveryState.DELIVERED): 2 * NOTICES}
    # Every one arrived; what was in flight at a kill went once more, as another attempt.
    assert len({message for message, _ in called}) == NOTICES
    assert len({delivery for delivery, _ in written}) == NOTICES
    assert set(called.values()) == set(written.values()) == {1}
    assert sum(written.values()) == NOTICES + 2
    assert sum(called.values()) <= 2 * NOTICES
