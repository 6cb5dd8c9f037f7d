"""Words of any language. Public surface: ``words``, ``LONGEST``."""

from __future__ import annotations

import unicodedata

import regex

LONGEST = 100_000  # characters: beyond them comparing two texts takes too long

# Writing systems that put no space between words: each character counts as one, as in the usual scoring of Chinese.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"[{_UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+", regex.V1)


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation; letters, their marks and digits make a word."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())
