"""The only way from a user to a team's object. Public surface: ``Access``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from evaluations.enums import TeamRole
from evaluations.models import Membership, ReplayRun, ReviewBatch, SampleSet, Team, Workload

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_RANK = {TeamRole.VIEWER: 0, TeamRole.REVIEWER: 1, TeamRole.MANAGER: 2, TeamRole.ADMIN: 3}


@dataclass(frozen=True)
class Access:
    """What one person may see and do. A foreign team's object does not exist for them."""

    user: User

    @cached_property
    def _memberships(self) -> Mapping[int, Membership]:
        return {row.team_id: row for row in Membership.objects.filter(user=self.user)}

    def teams(self) -> QuerySet[Team]:
        if self.user.is_superuser:
            return Team.objects.all()
        return Team.objects.filter(pk__in=self._memberships)

    def workloads(self) -> QuerySet[Workload]:
        return Workload.objects.filter(team__in=self.teams())

    def sample_sets(self) -> QuerySet[SampleSet]:
        return SampleSet.objects.filter(workload__team__in=self.teams())

    def runs(self) -> QuerySet[ReplayRun]:
        """Replays."""
        return self._runs().filter(judges=None)

    def judgings(self) -> QuerySet[ReplayRun]:
        return self._runs().filter(judges__isnull=False)

    def _runs(self) -> QuerySet[ReplayRun]:
        return ReplayRun.objects.filter(plan_version__plan__workload__team__in=self.teams())

    def review_batches(self) -> QuerySet[ReviewBatch]:
        return ReviewBatch.objects.filter(plan_version__plan__workload__team__in=self.teams())

    def has_role(self, team: Team, role: TeamRole) -> bool:
        """Whether the person has at least ``role`` in ``team``."""
        if self.user.is_superuser:
            return True
        membership = self._memberships.get(team.pk)
        return membership is not None and _RANK[membership.role] >= _RANK[role]

    def may_read_content(self, team: Team) -> bool:
        """Whether prompts and answers of ``team`` may be shown."""
        if self.user.is_superuser:
            return True
        membership = self._memberships.get(team.pk)
        return membership is not None and membership.may_read_content
