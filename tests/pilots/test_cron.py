"""Due times on the days on which clocks are set.

The instants of the transitions are the tz database's (``zdump -v``, 2026): Berlin 29 March 01:00Z and 25 October
01:00Z, New York 8 March 07:00Z and 1 November 06:00Z, Lord Howe (half an hour) 4 April 15:00Z and 3 October 15:30Z.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest

from pilots.cron import CronLine

# Zone, line, and the due times of the day before, the day itself and the day after, in UTC.
CLOCK_CHANGES = [
    # The hour that is left out: due at its end.
    ("Europe/Berlin", "30 2 * * *", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
    ("America/New_York", "30 2 * * *", ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"]),
    ("Australia/Lord_Howe", "15 2 * * *", ["2026-10-02T15:45", "2026-10-03T15:30", "2026-10-04T15:15"]),
    # The hour that is repeated: due in its first pass.
    ("Europe/Berlin", "30 2 * * *", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ("America/New_York", "30 1 * * *", ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"]),
    ("Australia/Lord_Howe", "45 1 * * *", ["2026-04-03T14:45", "2026-04-04T14:45", "2026-04-05T15:15"]),
]


def instants(texts: list[str]) -> list[datetime]:
    return [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]


@pytest.mark.parametrize(("zone", "fields", "texts"), CLOCK_CHANGES)
def test_a_daily_line_comes_due_once_a_local_day_from_wherever_one_looks(zone: str, fields: str, texts) -> None:
    line, expected = CronLine(fields, zone), instants(texts)
    moment = expected[0] - timedelta(hours=1)
    while moment < expected[-1]:
        to_come = [due for due in expected if due > moment]
        assert list(islice(line.after(moment), len(to_come))) == to_come, moment
        moment += timedelta(minutes=5, seconds=1)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("fields", ["0 * * * *", "*/20 * * * *", "0 2 * * *", "0,30 2,3 * * *", "0 0 1 * *"])
def test_due_times_rise_and_are_the_same_from_each_of_them(zone: str, fields: str) -> None:
    line, end = CronLine(fields, zone), datetime(2026, 12, 31, tzinfo=UTC)
    due = list(takewhile(lambda at: at < end, line.after(datetime(2026, 10, 1, tzinfo=UTC))))
    assert due == sorted(set(due))
    assert [next(line.after(at)) for at in due[:-1]] == due[1:]


def test_a_line_with_every_hour_counts_real_time() -> None:
    night = list(islice(CronLine("0 * * * *", "Europe/Berlin").after(datetime(2026, 10, 24, 22, tzinfo=UTC)), 4))
    assert [at.hour for at in night] == [23, 0, 1, 2]


@pytest.mark.parametrize(
    ("fields", "zone", "problem"),
    [
        ("0 2 * * *", "Europe/Berlin", None),
        ("0 2 * * *", "Berlin", ("timezone", "'Berlin' is not a time zone like Europe/Berlin")),
        ("0 2 * * *", "../UTC", ("timezone", "'../UTC' is not a time zone like Europe/Berlin")),
        ("61 * * * *", "UTC", ("fields", "'61 * * * *' is not a cron line (Bad minute)")),
        ("0 0 30 2 *", "UTC", ("fields", "'0 0 30 2 *' is not a cron line (Bad day-of-month)")),
        ("0 0 29 2 MON#5", "UTC", None),
    ],
)
def test_what_is_wrong_with_a_line_is_said(fields: str, zone: str, problem: tuple[str, str] | None) -> None:
    assert CronLine(fields, zone).problem(at=datetime(2026, 1, 1, tzinfo=UTC)) == problem
