import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from evaluations.models import AuditEvent
from evaluations.services import audit


@pytest.fixture
def event(db) -> AuditEvent:
    with transaction.atomic():
        return audit.record(
            by=audit.Actor.command("test"),
            at=timezone.now(),
            action="team.created",
            object_type="team",
            object_id=1,
            object_label="Support",
        )


@pytest.mark.parametrize(
    "statement",
    ["UPDATE evaluations_auditevent SET actor = 'nobody'", "DELETE FROM evaluations_auditevent"],
)
def test_the_database_refuses_to_change_the_audit_chain(event: AuditEvent, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEvent.objects.get().actor == "manage.py test"


def test_the_chain_verifies_and_names_the_link_that_was_changed(event: AuditEvent) -> None:
    assert audit.verify() is None
    event.pk = None
    event.sequence = 2
    event.save(force_insert=True)
    assert audit.verify() == "audit event 2 was changed"


def test_an_audit_event_needs_the_transaction_of_its_change(transactional_db) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        audit.record(
            by=audit.Actor.command("test"),
            at=timezone.now(),
            action="team.created",
            object_type="team",
            object_id=1,
            object_label="Support",
        )


def test_an_unknown_action_is_a_programming_error(db) -> None:
    with pytest.raises(KeyError):
        audit.record(
            by=audit.Actor.command("test"),
            at=timezone.now(),
            action="team.exploded",
            object_type="team",
            object_id=1,
            object_label="Support",
        )
