"""The registered names of everything that is audited, with their words.

Public surface: ``ACTIONS``, ``register_actions``.
"""

from __future__ import annotations

from collections.abc import Mapping

# Every action that may appear in the chain, with its words for the page. An unknown name is a programming error.
ACTIONS: dict[str, str] = {}


def register_actions(actions: Mapping[str, str]) -> None:
    """Add names with their presenters, for example ``{"pilot.cutover": "recorded the cutover of"}``."""
    ACTIONS.update(actions)


register_actions(
    {
        "team.created": "created team",
        "team.changed": "changed team",
        "data_agreement.agreed": "recorded the data agreement of",
        "data_agreement.ended": "ended the data agreement of",
        "catalogue.created": "added to the catalogue",
        "catalogue.changed": "changed in the catalogue",
        "workload.created": "created workload",
        "workload.changed": "changed workload",
        "sample_set.frozen": "froze sample set",
        "plan.created": "drafted plan",
        "plan.changed": "changed plan",
        "plan.frozen": "froze plan",
        "replay_run.created": "started",
        "replay_run.cancelled": "cancelled",
        "replay_run.resumed": "resumed",
        "replay_run.paused": "waits, because the vendor's quota or credit is used up, with",
        "replay_run.unpaused": "let the vendors be called again for",
        "replay_run.ended": "saw the end of",
        "judging.created": "had a model judge the answers of a run in",
        "judging.refused": "could not have a model judge the answers of",
        "judging.ended": "saw the end of",
        "replay_run.rescoring": "asked for the answers to be judged again of",
        "replay_run.rescored": "judged again, after the fact, the answers of",
        "drift.alarmed": "found that a model moved under",
        "drift.acknowledged": "acknowledged the drift of",
        "review_batch.created": "asked for reviews in",
        "review_batch.handed_over": "gave other people the open reviews of",
        "review_batch.closed": "closed",
        "review.answered": "answered",
        "review.taken_back": "took back the answer to",
        "review.resolved": "resolved the dispute over",
        "sample.not_permitted": "refused to send samples of",
        "sample.purged": "purged prompts and answers of samples of",
    }
)
