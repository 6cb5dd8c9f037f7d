"""Stored scores and judgements, whose turn it is to make them, what a run ended with, and later readings of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from evaluations.enums import ArmRole, CriterionRole, Decision, Preference, Verdict
from evaluations.models.fields import EnumField, one_of
from evaluations.models.plans import PlanVersion
from evaluations.models.replays import Completion, ReplayRun


class ScoreRow(models.Model):
    """A scorer's result for one completion. ``value`` is None where it could not judge: unscored is not zero.

    A later version of the plan adds rows of its own (``Rescoring``); the run's are those of its own plan version.
    """

    completion = models.ForeignKey(Completion, on_delete=models.CASCADE, related_name="scores")
    key = models.CharField(max_length=80)  # the scorer's key in the plan
    scorer = models.CharField(max_length=80)
    scorer_version = models.CharField(max_length=40)
    value = models.FloatField(null=True)
    detail = models.CharField(max_length=300, blank=True)  # what was compared, or why it is unscored

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["completion", "key", "scorer_version"], name="score_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key} of {self.completion}"


class Judgement(models.Model):
    """What a judge's answer says, read once: its preference between two answers, or its mark for one of them.

    The completion is the judge's own, of a judging: it tells the sample, the judge's endpoint and how the call ended.
    """

    completion = models.OneToOneField(Completion, on_delete=models.CASCADE, primary_key=True, related_name="judgement")
    shown = EnumField(ArmRole)  # whose answer stood first; of a mark: whose answer it is for
    preferred = EnumField(Preference, blank=True)  # '': it said nothing that counts, or gave a mark
    score = models.FloatField(null=True)  # 0 to 1; None: it said nothing that counts, or named a preference
    cause = models.CharField(max_length=60, blank=True)  # why it said nothing that counts; '': it did
    judge_version = models.CharField(max_length=40)  # of the question and of how its answer is read

    class Meta:
        constraints = [
            one_of("shown", ArmRole, "judgement_shown_known"),
            models.CheckConstraint(
                condition=models.Q(preferred__in=["", *(word.value for word in Preference)]),
                name="judgement_preferred_known",
            ),
        ]

    def __str__(self) -> str:
        return f"judgement of {self.completion}"


class ScoringTurn(models.Model):
    """Which process scores a run, and the batch that it is at: so that a scorer that ends its process is found."""

    run = models.OneToOneField(ReplayRun, on_delete=models.CASCADE, primary_key=True, related_name="scoring_turn")
    owner = models.CharField(max_length=64, blank=True)
    expires_at = models.DateTimeField(null=True)
    key = models.CharField(max_length=80, blank=True)  # the scorer's
    first = models.PositiveBigIntegerField(null=True)  # places of the batch, in the order of scoring
    last = models.PositiveBigIntegerField(null=True)
    lost = models.PositiveSmallIntegerField(default=0)  # processes that ended at this batch

    def __str__(self) -> str:
        return f"scoring of {self.run}"


class ComparisonRow(models.Model):
    """One criterion of a plan version as read at a run's end; the fields are those of the run document."""

    run = models.ForeignKey(ReplayRun, on_delete=models.CASCADE, related_name="comparisons")
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="comparisons")
    position = models.PositiveSmallIntegerField()  # order of the criteria in the plan
    metric = models.CharField(max_length=80)
    role = EnumField(CriterionRole)
    verdict = EnumField(Verdict)
    document = models.JSONField()

    class Meta:
        ordering = ["run", "position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "position"], name="comparison_once"),
            one_of("verdict", Verdict, "comparison_verdict_known"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.run}"


class Rescoring(models.Model):
    """The answers of a run, judged again by a later version of its plan: after the fact, beside the run's verdict."""

    run = models.ForeignKey(ReplayRun, on_delete=models.CASCADE, related_name="rescorings")
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="rescorings")  # that judges
    requested_at = models.DateTimeField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    finished_at = models.DateTimeField(null=True)  # None: not all is judged yet, and nothing below is known
    decision = EnumField(Decision, blank=True)
    decision_reason = models.CharField(max_length=300, blank=True)
    evidence_samples = models.PositiveIntegerField(null=True)
    comparisons = models.JSONField(default=list)  # documents, in the order of the criteria

    class Meta:
        ordering = ["run", "plan_version"]
        constraints = [models.UniqueConstraint(fields=["run", "plan_version"], name="rescoring_once")]

    def __str__(self) -> str:
        return f"{self.run} by {self.plan_version}"
