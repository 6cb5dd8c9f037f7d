"""The closed lists of the pilots app. Plain enums, as in the engine."""

from __future__ import annotations

from evaluations.enums import Choice


class PilotStatus(Choice):
    """A pilot's stage; the cached last value of its events."""

    DRAFT = "draft", "draft"
    PLANNED = "planned", "planned"
    EVALUATING = "evaluating", "evaluating"
    DECIDED = "decided", "decided"
    RAMPING = "ramping", "ramping"
    SWITCHED = "switched", "switched"
    ALONGSIDE = "alongside", "alongside"
    ROLLED_BACK = "rolled_back", "rolled back"
    SUPERSEDED = "superseded", "moved to a third model"
    ENDED = "ended", "workload ended"
    DECLINED = "declined", "declined"
    ABANDONED = "abandoned", "abandoned"
    VOID = "void", "undone"  # everything on record of it was voided


class EventKind(Choice):
    """What can happen to a pilot."""

    OPENED = "opened", "opened"
    PLANNED = "planned", "plan frozen"
    EVALUATING = "evaluating", "replays started"
    DECIDED = "decided", "decided"
    APPROVED = "approved", "approved"
    RAMP = "ramp", "traffic share changed"
    CUTOVER = "cutover", "cutover"
    FOLLOW_UP = "follow_up", "follow-up"
    ROLLBACK = "rollback", "rollback"
    SUPERSEDED = "superseded", "moved to a third model"
    ENDED = "ended", "workload ended"
    DECLINED = "declined", "declined"
    ABANDONED = "abandoned", "abandoned"
    ALONGSIDE = "alongside", "running alongside"
    CLOSED = "closed", "closed"
    CORRECTED = "corrected", "correction"


class Reason(Choice):
    """Why a workload went back."""

    QUALITY = "quality", "quality"
    SAFETY = "safety", "safety"
    REFUSALS = "refusals", "refusals"
    LATENCY = "latency", "latency"
    RELIABILITY = "reliability", "reliability"
    COST = "cost", "cost"
    QUOTA = "quota", "quota"
    INTEGRATION = "integration", "integration"
    COMPLIANCE = "compliance", "compliance"
    CONTRACT = "contract", "contract"
    USER_PREFERENCE = "user_preference", "user preference"
    MODEL_CHANGED = "model_changed", "the model changed"
    OTHER = "other", "other (see note)"
    UNDER_INVESTIGATION = "under_investigation", "under investigation"
    UNEXPLAINED = "unexplained", "unexplained"


class Motive(Choice):
    """Why the pilot was opened."""

    QUALITY = "quality", "quality"
    COST = "cost", "cost"
    SPEED = "speed", "speed"
    RISK = "risk", "risk"
    CONTRACT = "contract", "contract"
    RETIREMENT = "retirement", "retirement of the incumbent"


class AttachmentKind(Choice):
    REPLAY_RUN = "replay_run", "replay run"
    INCIDENT = "incident", "incident"
    INVOICE = "invoice", "invoice"
    URL = "url", "link"
    NOTE = "note", "note"


class SpellEnd(Choice):
    """How a period on the candidate ended."""

    ROLLED_BACK = "rolled_back", "rolled back"
    SUPERSEDED = "superseded", "moved to a third model"
    ENDED = "ended", "workload ended"


class SpellStatus(Choice):
    """Where a period on the candidate stands today; the funnel counts these."""

    STILL_SWITCHED = "still_switched", "still on it"
    ROLLED_BACK = "rolled_back", "rolled back"
    SUPERSEDED = "superseded", "moved to a third model"
    ENDED = "ended", "workload ended"
    IN_CONFLICT = "in_conflict", "in conflict"
    LOST_TO_FOLLOW_UP = "lost_to_follow_up", "lost to follow-up"


class KnownBy(Choice):
    MEASURED = "measured", "measured in traffic"
    DECLARED = "declared", "declared"


class EventSource(Choice):
    WEB = "web", "web"
    API = "api", "API"
    COMMAND = "command", "command"
    IMPORT = "import", "import"
    SYSTEM = "system", "system"


class ClaimKind(Choice):
    QUALITY = "quality", "quality"
    COST = "cost", "cost"
    SPEED = "speed", "speed"
    RELIABILITY = "reliability", "reliability"
    SAFETY = "safety", "safety"
    PROVENANCE = "provenance", "provenance"


class SlotState(Choice):
    """Whatever comes due ends in exactly one of the other two."""

    DUE = "due", "due"
    STARTED = "started", "started"
    SKIPPED = "skipped", "skipped"


class CatchUp(Choice):
    """What becomes of the slots that nobody was there to start."""

    ONCE = "once", "one replay for all slots that were missed"
    SKIP = "skip", "slots that were missed are left out"


class Audience(Choice):
    """Who a file is for, and so what is left out of it."""

    FULL = "full", "everything"
    NO_CONTENT = "no-content", "without prompts and answers"
    VENDOR = "vendor", "one vendor's copy"


class FileFormat(Choice):
    """The ending of a file's name."""

    XLSX = "xlsx", "workbook"
    CSV = "csv", "CSV, the first sheet"
    PARQUET = "parquet", "Parquet, the first sheet"


class ExportState(Choice):
    """Where a file that was asked for stands."""

    PENDING = "pending", "waiting"
    WRITING = "writing", "being written"
    DONE = "done", "ready"
    FAILED = "failed", "failed"


class TokenScope(Choice):
    """What a token may be used for; never more than its owner may do."""

    READ = "read", "read everything but prompts and answers"
    CONTENT = "content", "read prompts and answers"
    WRITE = "write", "change things and start replays"
    SAMPLES = "samples", "add samples and traffic"


class GatewayName(Choice):
    """Where in a gateway's log a name stands that a mapping rule reads."""

    KEY_ALIAS = "key_alias", "alias of the key"
    TAG = "tag", "tag"
    WIRE_NAME = "wire_name", "model as called"


class NoticeKind(Choice):
    """What people and programs may be told of."""

    RUN_FINISHED = "replay_run.finished", "a replay ended"
    RUN_STOPPED_BY_BUDGET = "replay_run.stopped_by_budget", "a replay was stopped by its budget"
    DECIDED = "pilot.decided", "a decision was recorded"
    CUTOVER = "pilot.cutover", "a cutover was recorded"
    ROLLED_BACK = "pilot.rolled_back", "a rollback was recorded"
    CONFLICT_FOUND = "pilot.conflict_found", "traffic contradicts what is on record"
    DRIFT_ALARMED = "drift.alarmed", "a measured figure drifts"
    PRICE_CHANGED = "price.changed", "a price is new or was corrected"
    RETIREMENT_NEAR = "model.retirement_near", "a model in use is near its retirement"
    FOLLOW_UP_OVERDUE = "followup.overdue", "a follow-up is overdue"
    CAPTURE_REQUESTED = "capture.requested", "answers of a model that ends are to be recorded"
    # For people alone: programs hear of the overdue ones.
    FOLLOW_UP_DUE = "followup.due", "a follow-up is due"
    FOLLOW_UP_REMINDER = "followup.reminder", "a follow-up is still unanswered"
    FOLLOW_UP_ESCALATED = "followup.escalated", "a follow-up of my team stays unanswered"


class MatterKind(Choice):
    """What may wait for somebody."""

    CONFLICT = "conflict", "traffic against the record"
    DRIFT = "drift", "models and shares that drift"
    STOPPED_RUN = "stopped_run", "stopped replays"
    STUCK_RUN = "stuck_run", "replays that stand still"
    APPROVAL = "approval", "decisions to approve"
    REVIEW = "review", "reviews of running alongside"
    REASON = "reason", "reasons overdue"
    FOLLOW_UP = "follow_up", "follow-ups overdue"
    PRICE = "price", "costs over the agreed limit"
    RETIREMENT = "retirement", "models that end"
    UNMAPPED = "unmapped", "traffic without a rule"
    WEBHOOK = "webhook", "webhooks that failed"


class NoticeMode(Choice):
    """How somebody wants to be told."""

    OFF = "off", "not at all"
    IN_APP = "in_app", "in the app"
    EMAIL = "email", "in the app, and by e-mail at once"
    DIGEST = "digest", "in the app, and in the daily e-mail"


class Channel(Choice):
    """How something leaves the house."""

    EMAIL = "email", "e-mail"
    WEBHOOK = "webhook", "webhook"


class DeliveryState(Choice):
    """Where a message that is to leave stands."""

    PENDING = "pending", "waiting"
    SENDING = "sending", "being sent"
    DELIVERED = "delivered", "delivered"
    FAILED = "failed", "given up"


class UploadKind(Choice):
    """What a file that somebody brought holds."""

    SAMPLES = "samples", "samples"
    HISTORY = "history", "history of switches"


class UploadState(Choice):
    """Where a file that somebody brought stands."""

    DRAFT = "draft", "to be confirmed"
    PENDING = "pending", "waiting"
    READING = "reading", "being read"
    DONE = "done", "imported"
    FAILED = "failed", "refused"
    UNDONE = "undone", "undone"


class MeasuredState(Choice):
    """Where a workload's observed traffic stands, as seen from a pilot."""

    NOT_ON_IT = "not_on_it", "nothing on the candidate"
    ALONGSIDE = "alongside", "alongside"
    SWITCHED = "switched", "switched"
    REPLACED = "replaced", "replaced"
    BACK = "back", "back"


class ConflictKind(Choice):
    """How observed traffic can contradict what is on record."""

    WENT_BACK = "went_back", "left the candidate without a word"
    STILL_ON_IT = "still_on_it", "on the candidate after it was said to have left"
    UNRECORDED = "unrecorded", "on the candidate without a cutover on record"


class SavingsBasis(Choice):
    """Where it is known from what a request used to take of the incumbent."""

    TRAFFIC = "traffic", "observed traffic before the cutover"
    REPLAY = "replay", "the replay"


class SavingsStop(Choice):
    """Why a period saves nothing from a day on."""

    ENDED = "ended", "the period ended"
    SHUTDOWN = "shutdown", "the incumbent is no longer served"


class NotComputed(Choice):
    """Why a day on the candidate has no savings figure."""

    NO_TRAFFIC = "no_traffic", "no traffic was observed"
    TOKENS = "tokens", "the candidate's tokens are unknown and there is no invoice"
    CANDIDATE_PRICE = "candidate_price", "the candidate's price is unknown and there is no invoice"
    OTHER_CURRENCY = "other_currency", "the invoice is in another currency and the price is unknown"
    INCUMBENT_PRICE = "incumbent_price", "the incumbent's price is unknown"
    INCUMBENT_USAGE = "incumbent_usage", "what a request took of the incumbent is unknown"
