"""Teams, their members, what they agreed to share, and the workloads they own."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from evaluations.enums import TeamRole
from evaluations.models.fields import EnumField, ExactDecimalField, one_of


class Team(models.Model):
    """A business unit or customer that owns workloads. One team = one customer in every report."""

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=200)
    monthly_cap_amount = ExactDecimalField(null=True, blank=True)  # None: no cap beyond each run's own
    monthly_cap_currency = models.CharField(max_length=3, blank=True)
    second_person = models.BooleanField(default=False)  # policy: every go or no-go is approved by somebody else
    created_at = models.DateTimeField(auto_now_add=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=Q(monthly_cap_amount__isnull=True)
                | (Q(monthly_cap_amount__gt=0) & ~Q(monthly_cap_currency="")),
                name="team_cap_is_positive_with_currency",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in a team. Reading prompts and answers is a right of its own."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="team_memberships")
    role = EnumField(TeamRole, default=TeamRole.VIEWER)
    may_read_content = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="membership_once"),
            one_of("role", TeamRole, "membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class DataAgreement(models.Model):
    """Which vendors, regions and purposes a team's samples may be sent to. A change is a new row; one is in force."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="data_agreements")
    vendors = models.JSONField()  # vendor slugs
    regions = models.JSONField()  # region names as on endpoints; an endpoint without a region needs "*"
    purposes = models.JSONField()  # evaluation, judging
    agreed_at = models.DateTimeField()
    expires_on = models.DateField(null=True, blank=True)  # last day in force; None: until revoked
    # Days that prompts and answers are kept after capture, also once the agreement has ended; None: the site's period.
    keep_content_days = models.PositiveIntegerField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)  # revoked or replaced at

    class Meta:
        ordering = ["-agreed_at"]
        constraints = [
            models.UniqueConstraint(fields=["team"], condition=Q(ended_at__isnull=True), name="one_agreement_in_force"),
        ]

    def __str__(self) -> str:
        return f"data agreement of {self.team}"


class Workload(models.Model):
    """One production use of a model by a team."""

    slug = models.SlugField(max_length=80, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="workloads")
    name = models.CharField(max_length=200)
    task_type = models.CharField(max_length=80, blank=True)
    monthly_requests = models.PositiveBigIntegerField(null=True, blank=True)  # None: unknown
    runs_on = models.ForeignKey(
        "evaluations.ModelVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="workloads"
    )  # the model in production now; None: unknown
    created_at = models.DateTimeField(auto_now_add=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class BudgetMonth(models.Model):
    """What a team's replays reserved and spent in one UTC month; the row that a monthly cap is checked against."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="budget_months")
    month = models.DateField()  # its first day
    currency = models.CharField(max_length=3)
    reserved_amount = ExactDecimalField(default=0)
    spent_amount = ExactDecimalField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "month", "currency"], name="budget_month_once"),
            models.CheckConstraint(
                condition=Q(reserved_amount__gte=0) & Q(spent_amount__gte=0), name="budget_month_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.team} {self.month:%Y-%m}"
