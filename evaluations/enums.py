"""The closed lists of the engine. Plain enums, so that rooms without Django can use them."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Choice(StrEnum):
    """A stored value with a label for people; ``choices()`` feeds Django fields."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Choice:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label or value.replace("_", " ")
        return member

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(member.value, member.label) for member in cls]


class Outcome(Choice):
    """The one name, of a closed list, for how a call ended."""

    OK = "ok", "answered"
    TRUNCATED = "truncated", "cut at the output limit"
    REFUSED = "refused", "refused by the model"
    CONTENT_FILTERED = "content_filtered", "stopped by a content filter"
    EMPTY = "empty", "empty answer"
    MALFORMED_TOOL_CALL = "malformed_tool_call", "malformed tool call"
    REJECTED_INPUT = "rejected_input", "request rejected"
    TIMEOUT = "timeout", "no answer in time"
    UNREACHABLE = "unreachable", "vendor unreachable"
    SERVER_ERROR = "server_error", "vendor server error"
    OVERLOADED = "overloaded", "vendor overloaded"
    BAD_RESPONSE = "bad_response", "unreadable response"
    STREAM_CUT = "stream_cut", "stream cut"
    TOO_LARGE = "too_large", "response too large"
    VENDOR_ERROR = "vendor_error", "vendor error"
    RATE_LIMITED = "rate_limited", "rate limited"
    AUTH = "auth", "credentials refused"
    MODEL_GONE = "model_gone", "model no longer served"
    QUOTA_EXHAUSTED = "quota_exhausted", "vendor quota exhausted"
    NOT_PERMITTED = "not_permitted", "not permitted by the data agreement"
    CANCELLED = "cancelled", "cancelled"
    BUDGET = "budget", "stopped by budget"
    STORAGE = "storage", "storage unavailable"
    MISSING = "missing", "no recorded answer"
    HARNESS_ERROR = "harness_error", "our own error"


# How each outcome is treated (the contract's outcome table).
ANSWERED = frozenset(
    {
        Outcome.OK,
        Outcome.TRUNCATED,
        Outcome.REFUSED,
        Outcome.CONTENT_FILTERED,
        Outcome.EMPTY,
        Outcome.MALFORMED_TOOL_CALL,
    }
)
RETRIED = frozenset(
    {
        Outcome.TIMEOUT,
        Outcome.UNREACHABLE,
        Outcome.SERVER_ERROR,
        Outcome.OVERLOADED,
        Outcome.BAD_RESPONSE,
        Outcome.STREAM_CUT,
        Outcome.TOO_LARGE,
        Outcome.VENDOR_ERROR,
        Outcome.RATE_LIMITED,
    }
)
# The sample gets no answer, and the calls end: for good, or (out of money) until the vendor's pause is lifted.
STOPS_ARM = frozenset({Outcome.AUTH, Outcome.MODEL_GONE, Outcome.QUOTA_EXHAUSTED})
PAUSES_VENDOR = frozenset({Outcome.QUOTA_EXHAUSTED})
# Nobody was there to answer: five in a row, and the vendor is left alone.
NOT_AT_WORK = frozenset({Outcome.TIMEOUT, Outcome.UNREACHABLE, Outcome.SERVER_ERROR, Outcome.OVERLOADED})
# Of our own making, or nobody's failure: the pair is left out of the counted comparison.
LEFT_OUT = STOPS_ARM | {
    Outcome.NOT_PERMITTED,
    Outcome.CANCELLED,
    Outcome.BUDGET,
    Outcome.STORAGE,
    Outcome.MISSING,
    Outcome.HARNESS_ERROR,
}


class FinishReason(Choice):
    """Why the model stopped, in one list for every vendor; the vendor's own word is kept beside it."""

    COMPLETE = "complete"
    TOOL_CALL = "tool_call"
    LENGTH = "length"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    BLOCKED_PROMPT = "blocked_prompt"
    MALFORMED_TOOL_CALL = "malformed_tool_call"
    UNKNOWN = "unknown"


class ArmRole(Choice):
    INCUMBENT = "incumbent", "incumbent"
    CANDIDATE = "candidate", "candidate"
    JUDGE = "judge", "judge"  # the one side of a judging: it is called about the answers of the other two


# What a replay compares.
COMPARED = (ArmRole.INCUMBENT, ArmRole.CANDIDATE)


class Flip(IntEnum):
    """What changed from the incumbent's answer to the candidate's, in the order in which people read answers."""

    HARMFUL = 0  # the incumbent passed, the candidate failed
    BENEFICIAL = 1
    NONE = 2


class RunStatus(Choice):
    PENDING = "pending", "waiting to start"
    RUNNING = "running", "running"
    FINISHED = "finished", "finished"
    STOPPED_BY_BUDGET = "stopped_by_budget", "stopped by budget"
    CANCELLED = "cancelled", "cancelled"
    FAILED = "failed", "failed"


class PauseReason(Choice):
    """Why a vendor is left alone; also the ``status_reason`` of the runs that wait for it."""

    RATE_LIMITED = "rate_limited", "the vendor asked to wait"
    VENDOR_PAUSED = "vendor_paused", "the vendor does not answer"
    QUOTA_EXHAUSTED = "quota_exhausted", "the vendor's quota or credit is used up"

    @property
    def probed(self) -> bool:
        """Its end is not known: one call at a time finds out."""
        return self is not PauseReason.RATE_LIMITED


class StopReason(Choice):
    """Which cap ended a run that was stopped by its budget."""

    BUDGET = "budget", "the run's hard cap"
    MONTHLY_CAP = "monthly_cap", "the team's month"
    MAX_CALLS = "max_calls", "the number of calls"


# A higher cap of the run alone does not let it go on.
OTHER_CAPS = frozenset({StopReason.MONTHLY_CAP, StopReason.MAX_CALLS})


class RunTrigger(Choice):
    MANUAL = "manual", "started by hand"
    SCHEDULE = "schedule", "scheduled"
    API = "api", "started over the API"
    COMMAND = "command", "started by command"


class ChunkState(Choice):
    PENDING = "pending"
    DONE = "done"


class AttemptState(Choice):
    """``sent`` without a result means that nobody knows whether the vendor billed it."""

    SENT = "sent", "sent, result unknown"
    SETTLED = "settled", "settled"
    ABANDONED = "abandoned", "sent, result lost"


class AttemptPurpose(Choice):
    ARM = "arm", "replay"
    JUDGE = "judge", "judging"
    PROBE = "probe", "endpoint check"


class CostState(Choice):
    KNOWN = "known", "known"
    UNKNOWN = "unknown", "unknown"


class PriceKind(Choice):
    CONTRACT = "contract", "contract price"
    LIST = "list", "list price"
    THIRD_PARTY = "third_party", "third-party figure"


class TeamRole(Choice):
    VIEWER = "viewer", "viewer"
    REVIEWER = "reviewer", "reviewer"
    MANAGER = "manager", "pilot manager"
    ADMIN = "admin", "team administrator"


class Beat(Choice):
    """What has to go on happening while the site runs."""

    SCHEDULER = "scheduler", "the scheduler sent the sweep to the broker"
    SWEEP = "sweep", "a worker did the sweep"


class Purpose(Choice):
    EVALUATION = "evaluation", "evaluation"
    JUDGING = "judging", "judging"


class Looks(Choice):
    """How often the accumulating evidence may be read without inflating the error rate."""

    ONE_LOOK = "one_look", "one look, at the end"
    EVERY_NIGHT = "every_night", "every night"
    PLANNED_HORIZON = "planned_horizon", "planned looks up to a fixed horizon"


class CriterionRole(Choice):
    PRIMARY = "primary", "primary"
    GUARDRAIL = "guardrail", "guardrail"
    ADVISORY = "advisory", "advisory"


GATES = frozenset({CriterionRole.PRIMARY, CriterionRole.GUARDRAIL})


class Verdict(Choice):
    BETTER = "better", "better"
    NON_INFERIOR = "non_inferior", "non-inferior"
    WORSE = "worse", "worse"
    INCONCLUSIVE = "inconclusive", "inconclusive"
    NOT_COMPUTABLE = "not_computable", "not computable"


class Decision(Choice):
    SAFE_TO_SWITCH = "safe_to_switch", "All agreed criteria met"
    DO_NOT_SWITCH = "do_not_switch", "A criterion failed"
    KEEP_TESTING = "keep_testing", "Not yet decided"
    KEEP_INCUMBENT = "keep_incumbent", "Not shown in time: keep the incumbent"


class JudgeMode(Choice):
    """How a model judges the answers of two others."""

    PAIRWISE = "pairwise", "both answers side by side, in both orders"
    RUBRIC = "rubric", "one answer at a time, from 1 to 5"


class Preference(Choice):
    """What a judge prefers of two answers."""

    CANDIDATE = "candidate", "candidate is better"
    INCUMBENT = "incumbent", "incumbent is better"
    TIE = "tie", "neither is better"


class ReviewChoice(Choice):
    """How the samples of a review batch were chosen."""

    RANDOM = "random", "at random"
    FLIPS = "flips", "answers that changed"
    DISAGREEMENTS = "disagreements", "scorers disagree"


class Side(Choice):
    """What a reviewer says of two answers, as they stand on the screen."""

    LEFT = "left", "left is better"
    RIGHT = "right", "right is better"
    BOTH_GOOD = "both_good", "both are good"
    BOTH_BAD = "both_bad", "both are bad"


class Preferred(Choice):
    """The same, of the arms: known once it is known what stood where."""

    INCUMBENT = "incumbent", "incumbent is better"
    CANDIDATE = "candidate", "candidate is better"
    BOTH_GOOD = "both_good", "both are good"
    BOTH_BAD = "both_bad", "both are bad"


class ReviewState(Choice):
    """Where one sample of a review batch stands."""

    OPEN = "open", "waits for an answer"
    SETTLED = "settled", "answered"
    DISPUTED = "disputed", "the two reviewers disagree"
    RESOLVED = "resolved", "resolved by a third"


class AuditSource(Choice):
    WEB = "web", "web"
    API = "api", "API"
    COMMAND = "command", "command"
    TASK = "task", "background task"
