"""All tables of the engine."""

from evaluations.models.audit import AuditEvent, AuditHead
from evaluations.models.catalogue import Endpoint, ModelVersion, Price, Vendor
from evaluations.models.drift import DriftAlarm
from evaluations.models.ops import CallTally, Heartbeat
from evaluations.models.pacing import EndpointPace, VendorGate
from evaluations.models.plans import Plan, PlanVersion
from evaluations.models.replays import Attempt, Chunk, Completion, CompletionContent, ReplayRun, RunArm
from evaluations.models.reviews import Review, ReviewAnswer, ReviewBatch, ReviewItem, ReviewNote
from evaluations.models.samples import (
    RecordedContent,
    RecordedResponse,
    Sample,
    SampleContent,
    SampleSet,
    SampleSetMember,
)
from evaluations.models.scores import ComparisonRow, Judgement, Rescoring, ScoreRow, ScoringTurn
from evaluations.models.teams import BudgetMonth, DataAgreement, Membership, Team, Workload

__all__ = [
    "Attempt",
    "AuditEvent",
    "AuditHead",
    "BudgetMonth",
    "CallTally",
    "Chunk",
    "ComparisonRow",
    "Completion",
    "CompletionContent",
    "DataAgreement",
    "DriftAlarm",
    "Endpoint",
    "EndpointPace",
    "Heartbeat",
    "Judgement",
    "Membership",
    "ModelVersion",
    "Plan",
    "PlanVersion",
    "Price",
    "RecordedContent",
    "RecordedResponse",
    "ReplayRun",
    "Rescoring",
    "Review",
    "ReviewAnswer",
    "ReviewBatch",
    "ReviewItem",
    "ReviewNote",
    "RunArm",
    "Sample",
    "SampleContent",
    "SampleSet",
    "SampleSetMember",
    "ScoreRow",
    "ScoringTurn",
    "Team",
    "Vendor",
    "VendorGate",
    "Workload",
]
