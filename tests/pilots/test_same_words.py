"""Page and workbook speak of the same things in the same tones."""

from __future__ import annotations

from pilots.enums import PilotStatus
from pilots.exporters import base, words
from pilots.exporters.claims import CLAIM_TONES
from pilots.templatetags import pilots_ui


def _by_label(tones: dict) -> dict[str, str]:
    return {key.label: tone for key, tone in tones.items()}


def test_tones_of_page_and_workbook_agree() -> None:
    verdicts = _by_label(pilots_ui.VERDICT_TONES) | _by_label(pilots_ui.DECISION_TONES)
    assert verdicts == {word: tone.value for word, tone in base.VERDICT_TONES.items()}
    assert _by_label(pilots_ui.CLAIM_TONES) == {word: tone.value for word, tone in CLAIM_TONES.items()}
    assert _by_label(pilots_ui.SPELL_TONES) == {word: tone.value for word, tone in words.PERIOD_TONES.items()}
    assert _by_label(pilots_ui.STAGE_TONES) == {word: tone.value for word, tone in words.STATUS_TONES.items()}
    assert set(_by_label(pilots_ui.STAGE_TONES)) < {status.label for status in PilotStatus}
