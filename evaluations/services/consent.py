"""Whether a team's samples may be sent to an endpoint. Public surface: ``Consent``, ``consent_for``, ``consent_of``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from evaluations.enums import Purpose
from evaluations.models import DataAgreement, Endpoint, Team


@dataclass(frozen=True, slots=True)
class Consent:
    """``refusal`` is None where sending is permitted, else one sentence saying what the agreement lacks."""

    refusal: str | None

    @property
    def given(self) -> bool:
        return self.refusal is None


def consent_for(*, team: Team, endpoint: Endpoint, purpose: Purpose, at: datetime) -> Consent:
    """Read the agreement in force now; asked at the start of a run."""
    agreement = DataAgreement.objects.filter(team=team, ended_at__isnull=True).first()
    return consent_of(agreement, team=team, endpoint=endpoint, purpose=purpose, at=at)


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
