"""ROUGE-L and chrF against the published implementations.

Expected numbers: rouge-score 0.1.2 (``RougeScorer(["rougeL"], use_stemmer=False)``, f-measure) and sacrebleu 2.6.0
(``CHRF()`` and ``CHRF(word_order=2)``, ``sentence_score`` / 100), made with both in an environment of their own; our
code agreed with both to 1e-9 on 3,000 more pairs of random words there. The police examples are those of Lin (2004).
"""

from __future__ import annotations

from typing import Any

import pytest

from evaluations.scorers.base import Answer, Scored
from evaluations.scorers.registry import SCORERS

# reply, reference, rougeL (None: rouge-score knows only ASCII letters), chrF, chrF++
PUBLISHED: list[tuple[str, str, float | None, float, float]] = [
    ("the cat sat on the mat", "the cat is on the mat", 0.8333333333333334, 0.645779420625287, 0.6636067072084818),
    ("police killed the gunman", "police kill the gunman", 0.75, 0.8162392219120139, 0.7478388114941165),
    ("the gunman kill police", "police killed the gunman", 0.5, 0.624670603683175, 0.6041185714082696),
    (
        "The refund was issued on 3 May, and the customer has been informed.",
        "The customer was told that the refund had been issued on 3 May.",
        0.46153846153846156,
        0.5713641498335837,
        0.5537643959616498,
    ),
    ("Die Katze sitzt auf der Matte.", "Eine Katze saß auf der Matte!", None, 0.5971951217980972, 0.5610214821669514),
    ("Ça marche très bien, merci", "Ça fonctionne bien. Merci!", None, 0.19743250534126278, 0.18975195846118523),
    (
        "colorless green ideas",
        "colorless green ideas sleep furiously",
        0.7499999999999999,
        0.5942639260264186,
        0.5968012217997217,
    ),
    ("abc", "abc", 1.0, 1.0, 1.0),
    ("ab", "abcdef", 0.0, 0.3125, 0.20833333333333337),
    ("xyz", "abc", 0.0, 0.0, 0.0),
    ("猫が座っている", "猫は座っています", None, 0.272595855506873, 0.23365359043446263),
    ("(see) 'quoted' end.", "see quoted end .", 1.0, 0.5008845624824, 0.46959692940578285),
]


def value(key: str, text: str, reference: Any, **config: Any) -> float:
    result = SCORERS.get(key).score(Answer(text=text, reference=reference), config)
    assert isinstance(result, Scored)
    return result.value


@pytest.mark.parametrize(("reply", "reference", "rouge", "chrf", "chrf_words"), PUBLISHED)
def test_published_values(reply: str, reference: str, rouge: float | None, chrf: float, chrf_words: float) -> None:
    if rouge is not None:
        assert value("rouge_l", reply, reference) == pytest.approx(rouge, abs=1e-9)
    assert value("chrf", reply, reference) == pytest.approx(chrf, abs=1e-9)
    assert value("chrf", reply, reference, words=True) == pytest.approx(chrf_words, abs=1e-9)


def test_recall_and_precision_of_rouge_l() -> None:
    reply, reference = "colorless green ideas", "colorless green ideas sleep furiously"
    assert value("rouge_l", reply, reference, measure="recall") == pytest.approx(3 / 5)
    assert value("rouge_l", reply, reference, measure="precision") == 1


def test_the_best_of_several_references_counts() -> None:
    """sacrebleu and rouge-score (``score_multi``) take the best as well: 0.720848..., 0.8333..."""
    references = ["a dog lay", "the cat sat on a mat"]
    assert value("chrf", "the cat sat on the mat", references) == pytest.approx(0.720848317308462, abs=1e-9)
    assert value("rouge_l", "the cat sat on the mat", references) == pytest.approx(5 / 6)


def test_a_script_without_spaces_is_compared_sign_by_sign() -> None:
    assert value("rouge_l", "猫が座る", "猫は座る") == pytest.approx(3 / 4)
    assert value("rouge_l", "Straße", "STRASSE") == 0
    assert value("rouge_l", "cafe\u0301 noir", "Café noir") == 1
