"""Whatever is done to the audit chain behind the application's back is found, and the event named."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction

from evaluations.models import AuditEvent, AuditHead
from evaluations.models.append_only import lift
from evaluations.services import audit

pytestmark = pytest.mark.django_db

TABLE = "evaluations_auditevent"
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def link(label: str) -> audit.Link:
    return audit.Link(action="team.created", object_type="team", object_id=1, object_label=label, data={"n": label})


def record(*labels: str) -> None:
    with transaction.atomic():
        audit.record_all([link(label) for label in labels], by=audit.Actor.command("test"), at=AT)


def sql(statement: str) -> None:
    with lift(connection, TABLE), connection.cursor() as cursor:
        cursor.execute(statement)


def change() -> None:
    sql(f"UPDATE {TABLE} SET object_label = 'other' WHERE sequence = 2")


def rehash_one() -> None:
    """As somebody would who knows how a link is hashed, but leaves the next as it is."""
    event = AuditEvent.objects.get(sequence=2)
    event.object_label = "other"
    sql(f"UPDATE {TABLE} SET object_label = 'other', hash = '{audit.link_hash(event)}' WHERE sequence = 2")


def delete() -> None:
    sql(f"DELETE FROM {TABLE} WHERE sequence IN (2, 3)")


def delete_last() -> None:
    sql(f"DELETE FROM {TABLE} WHERE sequence = 5")


def insert(sequence: int) -> Callable[[], None]:
    def do() -> None:
        last = AuditEvent.objects.get(sequence=5)
        event = AuditEvent(**{**_values(last), "sequence": sequence, "previous_hash": last.hash})
        event.hash = audit.link_hash(event)
        event.save(force_insert=True)

    return do


def _values(event: AuditEvent) -> dict[str, object]:
    return {field.name: getattr(event, field.name) for field in event._meta.fields if field.name != "id"}


def move_head() -> None:
    AuditHead.objects.update(hash="f" * 64)


def test_a_chain_that_nobody_touched_holds() -> None:
    assert audit.check_chain() == audit.Chain(0, 0, "0" * 64, ())
    record("a")
    record("b", "c")
    last = AuditEvent.objects.get(sequence=3)
    assert audit.check_chain() == audit.Chain(3, 3, last.hash, ())


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (change, [("changed", 2)]),
        (rehash_one, [("unlinked", 3)]),
        (delete, [("missing", 2)]),
        (delete_last, [("missing", 5)]),
        (insert(6), [("inserted", 6)]),
        (insert(0), [("inserted", 0)]),
        (move_head, [("head", 5)]),
    ],
)
def test_what_was_done_to_it_is_named(tamper: Callable[[], None], expected: list[tuple[str, int]]) -> None:
    record("a", "b", "c", "d", "e")
    tamper()
    found = audit.check_chain()
    assert [(broken.kind, broken.sequence) for broken in found.breaks] == expected
    assert str(expected[0][1] if tamper is not delete_last else 4) in found.breaks[0].words


def test_several_breaks_are_all_named() -> None:
    record("a", "b", "c", "d", "e", "f", "g")
    sql(f"UPDATE {TABLE} SET actor = 'nobody' WHERE sequence IN (1, 6)")
    sql(f"DELETE FROM {TABLE} WHERE sequence IN (3, 4)")
    words = [broken.words for broken in audit.check_chain().breaks]
    assert words == ["audit event 1 was changed", "audit events 3 to 4 are missing", "audit event 6 was changed"]


def test_a_chain_hashed_anew_is_found_by_a_link_that_was_noted() -> None:
    record("a", "b", "c")
    noted = (2, AuditEvent.objects.get(sequence=2).hash)
    assert audit.check_chain(noted=noted).holds
    with lift(connection, TABLE):
        AuditEvent.objects.all().delete()
    AuditHead.objects.update(sequence=0, hash="0" * 64)
    record("a", "another", "c")
    assert audit.check_chain().holds
    assert [broken.words for broken in audit.check_chain(noted=noted).breaks] == ["audit event 2 is not the one noted"]
    [broken] = audit.check_chain(noted=(9, noted[1])).breaks
    assert (broken.kind, broken.sequence) == ("missing", 9)


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("check_audit", *arguments, stdout=out, stderr=err)
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_the_command_says_so_and_ends_with_1() -> None:
    record("a", "b")
    last = AuditEvent.objects.get(sequence=2).hash
    assert run("--json")[0] == 0
    assert run() == (0, f"2 audit events: every link holds. Last link 2:{last}\n", "")
    assert run("--noted", f"2:{last}")[0] == 0
    change()
    code, out, _ = run("--json")
    assert (code, json.loads(out)) == (
        1,
        {
            "ok": False,
            "events": 2,
            "sequence": 2,
            "hash": last,
            "breaks": [{"kind": "changed", "sequence": 2, "words": "audit event 2 was changed"}],
        },
    )
    assert run()[1].splitlines()[0] == "audit event 2 was changed"
    assert run("--noted", "2") == (2, "", "noted: '2' is not SEQUENCE:HASH as printed by an earlier check\n")


@pytest.mark.django_db(transaction=True)
def test_it_holds_with_writers_at_once_and_while_it_is_read() -> None:
    barrier = threading.Barrier(3)

    def write(name: str) -> None:
        barrier.wait()
        for number in range(8):
            record(f"{name} {number}", f"{name} {number} too")
        connections.close_all()

    writers = [threading.Thread(target=write, args=(name,)) for name in ("ana", "ben")]
    for writer in writers:
        writer.start()
    barrier.wait()
    found = [audit.check_chain()]
    while any(writer.is_alive() for writer in writers):
        found.append(audit.check_chain())
    for writer in writers:
        writer.join()
    found.append(audit.check_chain())
    assert [chain.breaks for chain in found if not chain.holds] == []
    assert found[-1].events == found[-1].sequence == 32
