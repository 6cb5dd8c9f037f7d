"""Whether a team's samples may be sent to an endpoint.

Public surface: ``Consent``, ``consent_of``, ``called_arms``, ``refusals``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evaluations.enums import ArmRole, Purpose
from evaluations.models import DataAgreement, Endpoint, Plan, Team


@dataclass(frozen=True, slots=True)
class Consent:
    """``refusal`` is None where sending is permitted, else one sentence saying what the agreement lacks."""

    refusal: str | None

    @property
    def given(self) -> bool:
        return self.refusal is None


def consent_of(
    agreement: DataAgreement | None, *, team: Team, endpoint: Endpoint, purpose: Purpose, at: datetime
) -> Consent:
    """What ``agreement``, the one in force, says; None: there is none."""
    if agreement is None:
        return Consent(f"team {team.slug} has no data agreement in force")
    if agreement.expires_on is not None and at.date() > agreement.expires_on:
        return Consent(f"the data agreement of team {team.slug} expired on {agreement.expires_on}")
    vendor = endpoint.model.vendor.slug
    if vendor not in agreement.vendors:
        return Consent(f"the data agreement of team {team.slug} does not list vendor {vendor}")
    if endpoint.region and endpoint.region not in agreement.regions and "*" not in agreement.regions:
        return Consent(f"the data agreement of team {team.slug} does not list region {endpoint.region}")
    if purpose not in agreement.purposes:
        return Consent(f"the data agreement of team {team.slug} does not list purpose {purpose}")
    return Consent(None)


def called_arms(plan: Plan) -> dict[ArmRole, Endpoint]:
    """The arms of ``plan`` that calls go to; one of recorded answers has none."""
    arms = {ArmRole.INCUMBENT: plan.incumbent_endpoint, ArmRole.CANDIDATE: plan.candidate_endpoint}
    return {role: endpoint for role, endpoint in arms.items() if endpoint is not None}


def refusals(plan: Plan, *, at: datetime) -> dict[ArmRole, str]:
    """Why no sample may be sent to an arm, for those of ``plan`` that the agreement in force does not permit.

    Asked before the start of a run; the worker asks again before each commit.
    """
    team = plan.workload.team
    agreement = DataAgreement.objects.filter(team=team, ended_at__isnull=True).first()
    asked = {
        role: consent_of(agreement, team=team, endpoint=endpoint, purpose=Purpose.EVALUATION, at=at).refusal
        for role, endpoint in called_arms(plan).items()
    }
    return {role: refusal for role, refusal in asked.items() if refusal is not None}
