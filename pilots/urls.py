"""The pages, under whatever prefix the host gives them."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path, register_converter

from pilots.views import (
    alarms,
    answering,
    attention,
    corrections,
    end_of_life,
    exports,
    history,
    home,
    machines,
    notices,
    opening,
    pilot,
    planning,
    programs,
    record,
    records,
    reports,
    reviews,
    runs,
    schedules,
    session,
    traffic,
    uploads,
    workloads,
)


class PilotSlug:
    """The shape of a pilot's slug; anything else names no page."""

    regex = "[A-Za-z0-9][A-Za-z0-9._-]{0,79}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PilotSlug, "pilot_slug")

app_name = "pilots"
for_machines: list[URLPattern | URLResolver] = [
    path("healthz", machines.healthz, name="healthz"),
    path("metrics", machines.metrics, name="metrics"),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("sign-in/", session.SignIn.as_view(), name="sign-in"),
    path("sign-out/", session.SignOut.as_view(), name="sign-out"),
    path("team/", session.choose_team, name="choose-team"),
    path("jump/", home.jump, name="jump"),
    path("attention/", attention.attention, name="attention"),
    path("attention/snooze/", attention.snooze, name="snooze"),
    path("attention/wake/", attention.wake, name="wake"),
    path("pilots/", home.pilots, name="list"),
    path("open/", opening.open_pilot, name="open"),
    path("pilots/<pilot_slug:slug>/", pilot.overview, name="pilot"),
    path("pilots/<pilot_slug:slug>/timeline/", pilot.timeline, name="timeline"),
    path("pilots/<pilot_slug:slug>/evidence/", pilot.evidence, name="evidence"),
    path("pilots/<pilot_slug:slug>/periods/", pilot.periods, name="periods"),
    path("pilots/<pilot_slug:slug>/replays/", pilot.replays, name="replays"),
    path("pilots/<pilot_slug:slug>/replays/start/", planning.replay, name="start-replay"),
    path("pilots/<pilot_slug:slug>/schedule/", schedules.schedule, name="schedule"),
    path("pilots/<pilot_slug:slug>/plan/freeze/", planning.freeze, name="freeze"),
    path("pilots/<pilot_slug:slug>/events/<int:seq>/correct/", corrections.correct, name="correct"),
    path("pilots/<pilot_slug:slug>/record/<slug:kind>/", record.record, name="record"),
    path("pilots/<pilot_slug:slug>/alarms/<slug:kind>/<int:pk>/", alarms.alarm, name="alarm"),
    path("history/", history.bring_history, name="bring-history"),
    path("history/<int:pk>/", history.history, name="history"),
    path("history/imports/", history.imports, name="history-imports"),
    path("history/imports/<int:pk>/undo/", history.undo, name="undo-import"),
    path("workloads/", workloads.workloads, name="workloads"),
    path("workloads/<pilot_slug:slug>/", workloads.workload, name="workload"),
    path("workloads/<pilot_slug:slug>/sets/<int:pk>/", workloads.sample_set, name="sample-set"),
    path("uploads/<int:pk>/", uploads.upload, name="upload"),
    path("uploads/<int:pk>/state/", uploads.state, name="upload-state"),
    path("uploads/<int:pk>/rejects/", uploads.rejects, name="upload-rejects"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("runs/<int:pk>/progress/", runs.progress, name="progress"),
    path("runs/<int:pk>/cancel/", runs.cancel, name="cancel"),
    path("runs/<int:pk>/resume/", runs.resume, name="resume"),
    path("runs/<int:pk>/judge-again/", runs.judge, name="judge-again"),
    path("runs/<int:pk>/judging/", runs.judging, name="judging"),
    path("runs/<int:pk>/answers/", runs.answers, name="answers"),
    path("runs/<int:pk>/answers/<int:position>/", runs.answer, name="answer"),
    path("pilots/<pilot_slug:slug>/reviews/ask/", reviews.ask, name="ask-reviews"),
    path("reviews/", reviews.reviews, name="reviews"),
    path("reviews/<int:pk>/", reviews.batch, name="review-batch"),
    path("reviews/<int:pk>/samples/<int:position>/", reviews.item, name="review"),
    path("reviews/<int:pk>/undo/", reviews.undo, name="undo-review"),
    path("reviews/<int:pk>/hand-over/", reviews.give_away, name="hand-over"),
    path("reviews/<int:pk>/close/", reviews.close, name="close-reviews"),
    path("reports/retention/", reports.retention, name="retention"),
    path("reports/retention/comparisons/<slug:fingerprint>/", reports.comparison, name="comparison"),
    path("reports/costs/", reports.costs, name="costs"),
    path("reports/savings/", reports.savings, name="savings"),
    path("reports/drift/", reports.drift, name="drift"),
    path("reports/claims/", reports.claims, name="claims"),
    path("reports/rollback-reasons/", reports.rollback_reasons, name="rollback-reasons"),
    path("reports/predictiveness/", reports.predictiveness, name="predictiveness"),
    path("end-of-life/", end_of_life.end_of_life, name="end-of-life"),
    path("end-of-life/prepare/", end_of_life.prepare, name="prepare"),
    path("catalogue/", records.models, name="catalogue"),
    path("catalogue/endpoints/", records.endpoints, name="endpoints"),
    path("catalogue/prices/", records.prices, name="prices"),
    path("exports/", exports.exports, name="exports"),
    path("exports/<int:pk>/", exports.export, name="export"),
    path("exports/<int:pk>/state/", exports.state, name="export-state"),
    path("exports/<int:pk>/retry/", exports.retry, name="retry-export"),
    path("exports/<int:pk>/file/", exports.download, name="export-file"),
    path("exports/write/", exports.write, name="write-export"),
    path("traffic/", traffic.traffic, name="traffic"),
    path("traffic/import/", traffic.bring, name="import-traffic"),
    path("traffic/rules/add/", traffic.add, name="add-traffic-rule"),
    path("traffic/rules/<int:pk>/remove/", traffic.remove, name="remove-traffic-rule"),
    path("audit/", records.audit, name="audit"),
    path("tokens/", programs.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", programs.revoke, name="revoke-token"),
    path("notifications/", notices.notices, name="notices"),
    path("notifications/bell/", notices.bell, name="bell"),
    path("notifications/read/", notices.read_all, name="read-notices"),
    path("notifications/<int:pk>/", notices.follow, name="follow-notice"),
    path("notifications/settings/", notices.settings, name="notice-settings"),
    path("follow-ups/answer/<str:token>/", answering.answer, name="answer-follow-up"),
    path("webhooks/", notices.webhooks, name="webhooks"),
    path("webhooks/<int:pk>/", notices.webhook, name="webhook"),
    path("webhooks/<int:pk>/secret/", notices.renew, name="renew-secret"),
    path("webhooks/<int:pk>/end/", notices.end, name="end-webhook"),
    path("webhooks/deliveries/<int:pk>/again/", notices.repeat, name="repeat-delivery"),
    re_path("^api/v1/docs/?$", programs.docs, name="api-docs"),
    path("api/v1/", include("pilots.api.urls")),
    path("", include(for_machines)),
]
