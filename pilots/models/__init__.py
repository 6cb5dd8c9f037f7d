"""All tables of the pilots app."""

from pilots.models.attention import HomeVisit, Snooze
from pilots.models.claims import Claim
from pilots.models.comparisons import CustomerComparison
from pilots.models.exports import ExportFile
from pilots.models.followups import FollowUp
from pilots.models.forecasts import CostForecast
from pilots.models.history import EventAttachment, PilotEvent, Spell
from pilots.models.notices import Delivery, Notice, NoticeSettings, Notification, Webhook
from pilots.models.pilots import Pilot
from pilots.models.schedules import Schedule, ScheduleSlot
from pilots.models.tokens import ApiToken, IdempotentRequest
from pilots.models.traffic import (
    SavingsReading,
    ShareAlarm,
    TrafficConflict,
    TrafficDay,
    TrafficReading,
    TrafficRule,
    TrafficSource,
)
from pilots.models.uploads import HistoryImport, Upload

__all__ = [
    "ApiToken",
    "Claim",
    "CostForecast",
    "CustomerComparison",
    "Delivery",
    "EventAttachment",
    "ExportFile",
    "FollowUp",
    "HistoryImport",
    "HomeVisit",
    "IdempotentRequest",
    "Notice",
    "NoticeSettings",
    "Notification",
    "Pilot",
    "PilotEvent",
    "SavingsReading",
    "Schedule",
    "ScheduleSlot",
    "ShareAlarm",
    "Snooze",
    "Spell",
    "TrafficConflict",
    "TrafficDay",
    "TrafficReading",
    "TrafficRule",
    "TrafficSource",
    "Upload",
    "Webhook",
]
