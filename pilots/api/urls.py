"""Every route of the API. Each also answers with a slash at its end; the OpenAPI document names it without."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path, register_converter

from pilots.api import (
    catalogue,
    claims,
    events,
    exports,
    judgings,
    openapi,
    pilots,
    plans,
    reports,
    root,
    runs,
    savings,
    schedules,
    teams,
    traffic,
    workloads,
)


class Text:
    """One segment of an address that a database can look for."""

    regex = r"[^/\x00]{1,200}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class Number:
    """A whole number that fits a key."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(Text, "api_text")
register_converter(Number, "api_number")

app_name = "api"
described: list[URLPattern] = [
    path("vendors", catalogue.Vendors.as_view(), name="vendors"),
    path("vendors/<api_text:slug>", catalogue.OneVendor.as_view(), name="vendor"),
    path("models", catalogue.Models.as_view(), name="models"),
    path("models/<api_text:slug>", catalogue.OneModel.as_view(), name="model"),
    path("endpoints", catalogue.Endpoints.as_view(), name="endpoints"),
    path("endpoints/<api_text:slug>", catalogue.OneEndpoint.as_view(), name="endpoint"),
    path("prices", catalogue.Prices.as_view(), name="prices"),
    path("prices/<api_number:pk>", catalogue.OnePrice.as_view(), name="price"),
    path("teams", teams.Teams.as_view(), name="teams"),
    path("teams/<api_text:slug>", teams.OneTeam.as_view(), name="team"),
    path("teams/<api_text:slug>/members", teams.Members.as_view(), name="members"),
    path("teams/<api_text:slug>/members/<api_text:user>", teams.OneMember.as_view(), name="member"),
    path("teams/<api_text:slug>/data-agreement", teams.Agreement.as_view(), name="data-agreement"),
    path("workloads", workloads.Workloads.as_view(), name="workloads"),
    path("workloads/<api_text:slug>", workloads.OneWorkload.as_view(), name="workload"),
    path("workloads/<api_text:slug>/samples", workloads.Samples.as_view(), name="samples"),
    path("sample-sets", workloads.SampleSets.as_view(), name="sample-sets"),
    path("sample-sets/<api_number:pk>", workloads.OneSampleSet.as_view(), name="sample-set"),
    path("pilots", pilots.Pilots.as_view(), name="pilots"),
    path("pilots/<api_text:slug>", pilots.OnePilot.as_view(), name="pilot"),
    path("pilots/<api_text:slug>/events", events.Events.as_view(), name="events"),
    path("pilots/<api_text:slug>/events/<api_number:seq>", events.OneEvent.as_view(), name="event"),
    path("pilots/<api_text:slug>/plan", plans.PilotPlan.as_view(), name="plan"),
    path("pilots/<api_text:slug>/replays", runs.PilotReplays.as_view(), name="replays"),
    path("pilots/<api_text:slug>/estimate", runs.ReplayEstimate.as_view(), name="estimate"),
    path("pilots/<api_text:slug>/savings", savings.OfPilot.as_view(), name="savings"),
    path("pilots/<api_text:slug>/schedule", schedules.PilotSchedule.as_view(), name="schedule"),
    path("replay-runs", runs.Runs.as_view(), name="runs"),
    path("replay-runs/<api_number:pk>", runs.OneRun.as_view(), name="run"),
    path("replay-runs/<api_number:pk>/cancel", runs.CancelRun.as_view(), name="cancel-run"),
    path("replay-runs/<api_number:pk>/resume", runs.ResumeRun.as_view(), name="resume-run"),
    path("replay-runs/<api_number:pk>/judging", judgings.RunJudging.as_view(), name="judging"),
    path("replay-runs/<api_number:pk>/judging/cancel", judgings.CancelJudging.as_view(), name="cancel-judging"),
    path("replay-runs/<api_number:pk>/judging/resume", judgings.ResumeJudging.as_view(), name="resume-judging"),
    path("replay-runs/<api_number:pk>/completions", runs.RunCompletions.as_view(), name="completions"),
    path("replay-runs/<api_number:pk>/rescorings", runs.RunRescorings.as_view(), name="rescorings"),
    path("replay-runs/<api_number:pk>/comparisons", runs.RunComparisons.as_view(), name="comparisons"),
    path("traffic", traffic.Traffic.as_view(), name="traffic"),
    path("claims", claims.Claims.as_view(), name="claims"),
    path("claims/<api_number:pk>", claims.OneClaim.as_view(), name="claim"),
    path("reports/<api_text:name>", reports.Report.as_view(), name="report"),
    path("exports", exports.Exports.as_view(), name="exports"),
    path("exports/<api_number:pk>", exports.OneExport.as_view(), name="export"),
    path("exports/<api_number:pk>/file", exports.ExportedFile.as_view(), name="export-file"),
    path("schema/reports/<api_text:name>", reports.ReportSchema.as_view(), name="report-schema"),
]
urlpatterns: list[URLPattern] = [
    path("", root.Root.as_view(), name="root"),
    *described,
    path("schema", openapi.OpenApi.as_view(), name="schema"),
    *(path(f"{route.pattern}/", route.callback) for route in described),
    path("schema/", openapi.OpenApi.as_view()),
    re_path(r"", root.Nowhere.as_view()),
]
