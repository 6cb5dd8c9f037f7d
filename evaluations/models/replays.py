"""Runs, the work they consist of, every call that was sent, and every answer."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from evaluations.enums import (
    ArmRole,
    AttemptPurpose,
    AttemptState,
    ChunkState,
    CostState,
    Decision,
    FinishReason,
    Flip,
    Looks,
    Outcome,
    RunStatus,
    RunTrigger,
)
from evaluations.models.catalogue import Endpoint, ModelVersion, Price
from evaluations.models.fields import EnumField, ExactDecimalField, one_of
from evaluations.models.plans import PlanVersion
from evaluations.models.samples import Sample, SampleSet


class ReplayRun(models.Model):
    """One execution of a sample set against both arms. Counters are kept by the same commits as the rows.

    A *judging* is a run too, with the judge as its one arm: it asks about the answers of the replay that it ``judges``,
    under a cap of its own, and has no verdict.
    """

    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="runs")
    sample_set = models.ForeignKey(SampleSet, on_delete=models.PROTECT, null=True, related_name="runs")  # None: no new
    judges = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="judging"
    )  # None: a replay, not a judging
    status = EnumField(RunStatus, default=RunStatus.PENDING)
    status_reason = models.CharField(max_length=60, blank=True)
    trigger = EnumField(RunTrigger, default=RunTrigger.MANUAL)
    period = models.PositiveSmallIntegerField(default=1)  # of its plan version: a drift alarm ends one, the next begins
    repeats = models.PositiveSmallIntegerField(default=1)
    total = models.PositiveIntegerField()  # samples x arms x repeats
    done = models.PositiveIntegerField(default=0)
    currency = models.CharField(max_length=3)
    budget_amount = ExactDecimalField()  # hard cap
    reserved_amount = ExactDecimalField(default=0)  # calls in flight
    spent_amount = ExactDecimalField(default=0)  # settled calls
    max_calls = models.PositiveIntegerField(null=True)
    assume_per_mtok = models.JSONField(null=True)  # {"input", "output"}: for arms without a disclosed price
    calls = models.PositiveIntegerField(default=0)  # attempts, retries included
    in_step = models.BooleanField(default=False)  # a cap may stop it: neither arm is let run ahead of the other
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    started_at = models.DateTimeField(null=True)
    progressed_at = models.DateTimeField(null=True)  # last commit that moved it
    finished_at = models.DateTimeField(null=True)
    evidence_samples = models.PositiveIntegerField(null=True)  # of the plan version, at its end
    after_the_look = models.BooleanField(default=False)  # finished when a one-look verdict already stood
    decision = EnumField(Decision, blank=True)  # what the plan version's gates said at its end; '': not ended
    decision_reason = models.CharField(max_length=300, blank=True)
    costs = models.JSONField(null=True)  # of the plan version at its end, as a document; None: not ended
    weighted = models.JSONField(null=True)  # its evidence at production's mix, as documents; None: not ended, or older
    drift_read = models.BooleanField(default=False)  # whether its end was read for drift
    judged = models.JSONField(null=True)  # what a plan version's judge had said at the judging's end; None: not ended
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["status"], name="run_status"),
            models.Index(fields=["id"], condition=Q(drift_read=False), name="run_not_read_for_drift"),
        ]
        constraints = [
            one_of("status", RunStatus, "run_status_known"),
            models.CheckConstraint(condition=Q(budget_amount__gt=0), name="run_budget_positive"),
            models.CheckConstraint(
                condition=Q(reserved_amount__gte=0) & Q(spent_amount__gte=0), name="run_money_not_negative"
            ),
            models.CheckConstraint(condition=Q(done__lte=models.F("total")), name="run_done_within_total"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}" if self.judges_id is None else f"judging {self.pk} of run {self.judges_id}"

    @property
    def is_read(self) -> bool:
        """Whether it has ended, and what it says is kept."""
        return bool(self.decision) if self.judges_id is None else self.judged is not None

    @property
    def not_the_look(self) -> bool:
        """Ended before its end under a plan of one look: what was read then is not that look."""
        stopped = self.status in (RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.STOPPED_BY_BUDGET)
        return stopped and not self.after_the_look and self.plan_version.document["looks"] == Looks.ONE_LOOK


class RunArm(models.Model):
    """One side of a run with everything that decides its calls, frozen at the start."""

    run = models.ForeignKey(ReplayRun, on_delete=models.CASCADE, related_name="arms")
    role = EnumField(ArmRole)
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, null=True, related_name="+")  # None: recorded
    request = models.JSONField(default=dict)  # adaptations
    prices = models.JSONField(default=list)  # price rows in force, copied, so that a new price changes no past run
    provider_version = models.CharField(max_length=40)
    stopped_outcome = EnumField(Outcome, blank=True)  # auth, model_gone: no further calls
    figures = models.JSONField(null=True)  # its summary as of the run's end; None: read from the rows
    served_at = models.DateTimeField(null=True)  # when a worker last took a chunk of it: the turn goes to the others

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "role"], name="arm_role_once"),
            one_of("role", ArmRole, "arm_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.run}"

    @property
    def recorded(self) -> bool:
        return self.endpoint_id is None


class Chunk(models.Model):
    """A slice of an arm's work, claimed by lease: positions ``start`` to ``stop`` (exclusive) of one repeat."""

    arm = models.ForeignKey(RunArm, on_delete=models.CASCADE, related_name="chunks")
    repeat = models.PositiveSmallIntegerField()
    start = models.PositiveIntegerField()
    stop = models.PositiveIntegerField()
    state = EnumField(ChunkState, default=ChunkState.PENDING)
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_expires_at = models.DateTimeField(null=True)
    places = models.PositiveIntegerField(default=0)  # of the endpoint's calls in flight: granted to its worker

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["arm", "state", "id"], name="chunk_next"),
            models.Index(fields=["lease_expires_at"], name="chunk_leased", condition=Q(state=ChunkState.PENDING)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["arm", "repeat", "start"], name="chunk_once"),
            models.CheckConstraint(condition=Q(start__lt=models.F("stop")), name="chunk_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.arm} {self.start}-{self.stop}"


class Completion(models.Model):
    """The answer, or the failure, of one arm to one sample and repeat. Written once, but for what scoring adds."""

    # No index of its own: three below begin with it.
    arm = models.ForeignKey(RunArm, on_delete=models.CASCADE, related_name="completions", db_index=False)
    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="completions")
    repeat = models.PositiveSmallIntegerField()
    position = models.PositiveIntegerField()  # of the sample in the run's set
    outcome = EnumField(Outcome)
    finish_reason = EnumField(FinishReason, blank=True)
    vendor_finish_reason = models.CharField(max_length=60, blank=True)
    served_model = models.CharField(max_length=200, blank=True)
    error = models.CharField(max_length=400, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)  # calls sent for it; 0 for a recorded answer
    latency_ms = models.FloatField(null=True)
    ttft_ms = models.FloatField(null=True)
    input_uncached_tokens = models.PositiveBigIntegerField(null=True)
    cache_read_tokens = models.PositiveBigIntegerField(null=True)
    cache_write_tokens = models.PositiveBigIntegerField(null=True)
    output_total_tokens = models.PositiveBigIntegerField(null=True)
    output_visible_tokens = models.PositiveBigIntegerField(null=True)
    reasoning_tokens = models.PositiveBigIntegerField(null=True)
    cost_amount = ExactDecimalField(null=True)  # of its attempts but those whose result was lost; None: unknown
    finished_at = models.DateTimeField()
    # Against the incumbent's answer, by the plan's first scorer; a candidate's answers are listed in this order.
    flip = models.PositiveSmallIntegerField(db_default=Flip.NONE.value)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["arm", "sample", "repeat"], name="completion_once"),
            one_of("outcome", Outcome, "completion_outcome_known"),
            models.CheckConstraint(condition=Q(flip__in=[flip.value for flip in Flip]), name="completion_flip_known"),
        ]
        indexes = [
            models.Index(fields=["arm", "repeat", "position"], name="completion_position"),
            models.Index(fields=["arm", "flip", "position", "repeat", "outcome"], name="completion_listed"),
        ]

    def __str__(self) -> str:
        return f"{self.arm}: {self.sample}"


class CompletionContent(models.Model):
    """What was answered; a table of its own, so that it can be purged and left out."""

    completion = models.OneToOneField(Completion, on_delete=models.CASCADE, primary_key=True, related_name="content")
    text = models.TextField(null=True)  # noqa: DJ001 - None: the answer had no text
    message = models.JSONField(null=True)  # None: it said no more than the text

    @property
    def assistant_message(self) -> dict[str, Any]:
        """In OpenAI chat form, also where only the text is kept."""
        return self.message or {"role": "assistant", "content": self.text}


class Attempt(models.Model):
    """One call sent. The row is committed before the call; ``sent`` without a result may have been billed."""

    run = models.ForeignKey(ReplayRun, on_delete=models.CASCADE, null=True, related_name="attempts")
    arm = models.ForeignKey(RunArm, on_delete=models.CASCADE, null=True, related_name="attempts")
    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, null=True, related_name="+")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="attempts")
    repeat = models.PositiveSmallIntegerField(default=0)
    number = models.PositiveSmallIntegerField(default=1)
    purpose = EnumField(AttemptPurpose, default=AttemptPurpose.ARM)
    state = EnumField(AttemptState, default=AttemptState.SENT)
    lease_owner = models.CharField(max_length=64, blank=True)
    reserved_amount = ExactDecimalField(default=0)
    sent_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    outcome = EnumField(Outcome, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    request_id = models.CharField(max_length=120, blank=True)
    latency_ms = models.FloatField(null=True)
    raw_usage = models.JSONField(null=True)
    price = models.ForeignKey(Price, on_delete=models.SET_NULL, null=True, related_name="+")
    cost_state = EnumField(CostState, default=CostState.UNKNOWN)
    cost_amount = ExactDecimalField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    changes = models.JSONField(default=list)  # parameters renamed, dropped, clamped or added

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["arm", "sample", "repeat", "number"], name="attempt_number_once"),
            one_of("state", AttemptState, "attempt_state_known"),
            one_of("purpose", AttemptPurpose, "attempt_purpose_known"),
        ]
        indexes = [models.Index(fields=["state", "lease_owner"], name="attempt_open")]

    def __str__(self) -> str:
        return f"attempt {self.number} on {self.sample}"
