"""How much of a reference text a reply repeats: published measures of summaries and translations.

Public surface: ``RougeL``, ``ChrF``. Both give the best value where the reference is a list of texts.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evaluations.scorers.base import Answer, Score, Scored, Unscored
from evaluations.scorers.config import choice, known_keys, switch
from evaluations.scorers.text import as_text
from evaluations.scorers.words import LONGEST, words

_MEASURES = ("f1", "recall", "precision")


class RougeL:
    """``{measure: f1 | recall | precision}``: ROUGE-L, the longest common subsequence of words.

    Lin 2004, ACL W04-1013. Words are those of ``words``: on plain English text the same as in the published scoring
    without stemming.
    """

    key = "rouge_l"
    version = "1"
    binary = False
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "measure")
        choice(config, "measure", _MEASURES)

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        measure = choice(config, "measure", _MEASURES)
        return _best(answer, lambda reply, reference: _rouge_l(words(reply), words(reference), measure))


class ChrF:
    """``{words: false}``: chrF, the overlap of 1 to 6 characters in a row, recall twice as heavy.

    Popovic 2015, W15-3049. ``words: true`` adds single words and pairs of them: chrF++ (Popovic 2017, W17-4770). From
    0 to 1, where others write 0 to 100.
    """

    key = "chrf"
    version = "1"
    binary = False
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "words")
        switch(config, "words")

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        with_words = switch(config, "words")
        return _best(answer, lambda reply, reference: _chrf(reply, reference, with_words=with_words))


def _best(answer: Answer, measured: Callable[[str, str], float]) -> Score:
    given = answer.reference if isinstance(answer.reference, list) else [answer.reference]
    references = [as_text(one) for one in given if one is not None]
    references = [one for one in references if one.strip()]
    if not references:
        return Unscored("no_reference")
    if len(answer.text) > LONGEST or sum(map(len, references)) > LONGEST:
        return Unscored("text_too_long")
    best = max(measured(answer.text, one) for one in references)
    of = f", best of {len(references)} references" if len(references) > 1 else ""
    return Scored(best, f"{best:.3f}{of}")


def _rouge_l(reply: Sequence[str], reference: Sequence[str], measure: str) -> float:
    common = _common(reply, reference)
    if not common:
        return 0.0
    recall, precision = common / len(reference), common / len(reply)
    by_measure = {"f1": 2 * precision * recall / (precision + recall), "recall": recall, "precision": precision}
    return by_measure[measure]


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row at a time in the bits of a number (Hyyro 2004)."""
    places: dict[str, int] = {}
    for at, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << at
    every = (1 << len(left)) - 1
    row = every
    for word in right:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & every
    return len(left) - row.bit_count()


_CHARACTERS, _WORDS, _BETA2 = 6, 2, 4  # orders, and how much heavier recall is


def _chrf(reply: str, reference: str, *, with_words: bool) -> float:
    pairs = [(_grams("".join(reply.split()), n), _grams("".join(reference.split()), n)) for n in _orders(_CHARACTERS)]
    if with_words:
        ours, theirs = _split(reply), _split(reference)
        pairs += [(_grams(ours, n), _grams(theirs, n)) for n in _orders(_WORDS)]
    # An order of which one side has nothing, as the text is too short, says nothing.
    both = [(given, wanted) for given, wanted in pairs if given and wanted]
    if not both:
        return 0.0
    matched = [(given & wanted).total() for given, wanted in both]
    precision = sum(m / given.total() for m, (given, _) in zip(matched, both, strict=True)) / len(both)
    recall = sum(m / wanted.total() for m, (_, wanted) in zip(matched, both, strict=True)) / len(both)
    if not precision + recall:
        return 0.0
    return min((1 + _BETA2) * precision * recall / (_BETA2 * precision + recall), 1.0)


def _orders(most: int) -> range:
    return range(1, most + 1)


def _grams(units: str | Sequence[str], n: int) -> Counter[Any]:
    if isinstance(units, str):
        return Counter(units[at : at + n] for at in range(len(units) - n + 1))
    return Counter(zip(*(units[at:] for at in range(n)), strict=False))


def _split(text: str) -> list[str]:
    """Words, one punctuation mark at the end, failing that at the front, a word of its own: as in chrF++."""
    found: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in string.punctuation:
            found += (word[:-1], word[-1])
        elif len(word) > 1 and word[0] in string.punctuation:
            found += (word[0], word[1:])
        else:
            found.append(word)
    return found
