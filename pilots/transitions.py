"""What may follow what in a pilot's life, in one table. Public surface: ``TRANSITIONS``, ``RANK``, ``NO_SWITCH_YET``.

No Django here: the same table judges a form, an API call, a command and an import.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilots.enums import EventKind, PilotStatus

K, S = EventKind, PilotStatus

NO_SWITCH_YET = (S.DRAFT, S.PLANNED, S.EVALUATING, S.DECIDED, S.RAMPING)
# A workload that left the candidate may try it again: a second spell of the same pilot.
_LEFT = (S.ROLLED_BACK, S.SUPERSEDED)
_OVER = (S.SWITCHED, S.ALONGSIDE, S.ROLLED_BACK, S.SUPERSEDED, S.ENDED, S.DECLINED, S.ABANDONED)


def _to(target: PilotStatus, *sources: PilotStatus) -> Mapping[PilotStatus, PilotStatus]:
    return dict.fromkeys(sources, target)


def _stay(*statuses: PilotStatus) -> Mapping[PilotStatus, PilotStatus]:
    return {status: status for status in statuses}


# kind -> {status before: status after}. Absent = refused. ``opened`` is legal only as the first event of all, and
# implied where it is absent; ``corrected`` is worked in before anything is judged.
TRANSITIONS: Mapping[EventKind, Mapping[PilotStatus, PilotStatus]] = {
    K.PLANNED: {
        **_stay(S.PLANNED, S.EVALUATING, S.DECIDED, S.RAMPING, S.SWITCHED, S.ALONGSIDE, *_LEFT),
        S.DRAFT: S.PLANNED,
    },
    K.EVALUATING: {S.PLANNED: S.EVALUATING},
    K.DECIDED: _to(S.DECIDED, S.DRAFT, S.PLANNED, S.EVALUATING, S.DECIDED, S.ALONGSIDE, *_LEFT),
    K.APPROVED: _stay(S.DECIDED, S.DECLINED),
    K.RAMP: {**_to(S.RAMPING, *NO_SWITCH_YET, S.ALONGSIDE, *_LEFT), S.SWITCHED: S.SWITCHED},
    K.ALONGSIDE: _to(S.ALONGSIDE, *NO_SWITCH_YET, S.ALONGSIDE, *_LEFT),
    K.CUTOVER: _to(S.SWITCHED, *NO_SWITCH_YET, S.ALONGSIDE, *_LEFT),
    K.FOLLOW_UP: _stay(S.SWITCHED, S.ALONGSIDE),
    K.SUPERSEDED: {S.SWITCHED: S.SUPERSEDED},  # inside the candidate's family it stays switched, upgraded
    K.ROLLBACK: {S.SWITCHED: S.ROLLED_BACK},
    K.ENDED: {S.SWITCHED: S.ENDED},
    K.DECLINED: _to(S.DECLINED, *NO_SWITCH_YET, S.ALONGSIDE),
    K.ABANDONED: _to(S.ABANDONED, *NO_SWITCH_YET, S.ALONGSIDE),
    K.CLOSED: _stay(*_OVER),  # ends the pilot's administration, never the observation of the workload
}

# Order of events that carry the same instant, as dates without a time do.
RANK: Mapping[EventKind, int] = {kind: rank for rank, kind in enumerate((K.OPENED, *TRANSITIONS, K.CORRECTED))}
