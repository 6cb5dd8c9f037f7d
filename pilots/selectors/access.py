"""The only way from a user to a pilot. Public surface: ``PilotAccess``."""

from __future__ import annotations

from django.db.models import QuerySet

from evaluations.enums import TeamRole
from evaluations.models import Team, Workload
from evaluations.selectors.access import Access
from pilots.models import Pilot


class PilotAccess(Access):
    """What one person may see and do with pilots. A foreign team's pilot does not exist for them."""

    def pilots(self) -> QuerySet[Pilot]:
        return Pilot.objects.filter(workload__team__in=self.teams())

    def may_manage(self, pilot: Pilot) -> bool:
        """Whether the person may record what happens to the pilot."""
        return self.may_open_for(pilot.workload.team)

    def may_open_for(self, team: Team) -> bool:
        return self.has_role(team, TeamRole.MANAGER)

    def workloads_managed(self) -> frozenset[int] | None:
        """Keys of the workloads that the person may change; None: all."""
        if self.user.is_superuser:
            return None
        teams = [team.pk for team in self.teams() if self.may_open_for(team)]
        return frozenset(Workload.objects.filter(team__in=teams).values_list("pk", flat=True))

    def may_open_any(self) -> bool:
        """Whether there is a team for which the person may open pilots."""
        return any(self.may_open_for(team) for team in self.teams())

    def may_bring_history(self) -> bool:
        """Whether the person may import past switches: of their own teams, or whoever runs the site of any."""
        return self.user.is_superuser or self.may_open_any()

    def managed_teams(self) -> frozenset[str] | None:
        """Slugs of the teams that the person manages; None: any team, those to come as well."""
        if self.user.is_superuser:
            return None
        return frozenset(team.slug for team in self.teams() if self.may_open_for(team))

    def may_review(self, pilot: Pilot) -> bool:
        return self.has_role(pilot.workload.team, TeamRole.REVIEWER)

    def may_read_content_of(self, pilot: Pilot) -> bool:
        """Whether prompts and answers of the pilot's samples may be shown."""
        return self.may_read_content(pilot.workload.team)
