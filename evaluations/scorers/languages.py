"""Which language a text is in, told by its script and its small words. Public surface: ``LANGUAGES``, ``language_of``.

Nothing is downloaded and nothing learnt: every rule can be read here. Between close relatives, and on a few words, no
language is better than a wrong one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import regex

from evaluations.scorers.words import words

LONGEST_READ = 20_000  # characters: the rest of a text is in the same language
CLEAR = 2.0  # small words that a language needs; one that several share counts as a part
AHEAD, TIMES = 1.0, 1.1  # more than the next, and times as many: what both have in common cancels out

_SMALL_WORDS = {
    "en": (
        "the of and to in is that for it with as was are be this on you not have from by which or an can your"
        " if will please should has were but they what there when would been their we more only does about"
    ),
    "de": (
        "der die das und ist nicht ein eine einen einem einer zu den dem des mit von auf für sich auch im es"
        " werden wird oder als aus bei sie wir ich sind hat haben dass wenn kann nach nur noch um wie zum zur"
        " bitte diese dieser kein keine sein ihr ihre muss mehr aber über durch"
    ),
    "fr": (
        "le la les des et est un une du en que qui dans pour pas sur au aux par plus ce cette sont avec il"
        " elle ne se vous nous ou être votre avez je mais ont leur comme si ces peut doit aucun été fait"
    ),
    "es": (
        "el la los las de que y en un una es se no por con para del al lo como más su sus este esta está son"
        " pero o si sobre ser fue muy debe puede usted sin hay nos también cuando ya todos ninguna"
    ),
    "pt": (
        "o a os as de que e em um uma é se não por com para do da dos das no na nos nas ao mais como seu sua"
        " este esta são mas ou foi ser está você pode deve sem também muito isso pelo pela até ter quando"
    ),
    "it": (
        "il lo la gli le di che e è un una uno in non per con del della dei delle dal nel nella si sono come"
        " più ma o al alla questo questa essere ha ho può deve anche sul sulla da se i ai dello degli nessun"
    ),
    "nl": (
        "de het een en van is niet dat in op te voor met zijn aan er die ook als maar om bij naar uit door"
        " wordt worden deze dit heeft hebben kan of je u uw wij geen moet meer nog over tot zich ze"
    ),
    "sv": (
        "och att det som en på är av för med den till inte om ett har jag men från var kan eller vi ska så"
        " när de du mer denna detta inga ej måste vid efter dig din"
    ),
    "da": (
        "og at det som en på er af for med den til ikke om et har jeg men fra var kan eller vi skal så når de"
        " du mere denne dette ingen efter ved mig dig din hvis blev være bliver kun ud hvad noget nogen mellem"
        " meget gør nu været også fået venligst op gennem havde kunne mindst eventuelt hvilke skriv sig selv"
        " have"
    ),
    "no": (
        "og at det som en på er av for med den til ikke om et har jeg men fra var kan eller vi skal så når de"
        " du mer denne dette ingen etter ved meg deg din hvis ble være blir bare ut hva noe noen mellom mye"
        " gjør nå vært også fått vennligst opp gjennom hadde kunne minst eventuelt hvilke skriv seg selv ha"
    ),
    "fi": (
        "ja on ei se että oli ovat tai olla mutta kun niin joka mukaan myös sekä hän kuin jos ole voi tämä"
        " tämän jotka sen ne vain kanssa ovatko täytyy sinun ennen jälkeen eivät mikä tässä minä"
    ),
    "pl": (
        "i w na z się nie do że jest to o jak po od za dla przez co ale być tym jego są tylko lub oraz może"
        " ten ta te który która które czy już proszę przy pod jeśli został musi tej"
    ),
    "cs": (
        "a v na se je z že to s do o i k pro ve jako za by po ale jsou od nebo si který která které není byl"
        " tento tato musí při může pouze být pokud jste bylo prosím také tak už"
    ),
    "hu": (
        "a az és hogy nem is egy ez van volt de meg csak ki mint már vagy ha el minden lehet kell még azt be"
        " nincs fel legyen ezt kérem pedig után lesz ennek a következő"
    ),
    "ro": (
        "și de în la a cu nu pe că o un este se din pentru mai care sunt sau ca prin fi au fost ale al să ai"
        " dacă acest această trebuie poate vă într dar lui ei după"
    ),
    "tr": (
        "ve bir bu da de için ile olarak çok daha ne o gibi en kadar sonra var olan değil ya ama veya her mi"
        " mı lütfen ise yok şu ben sen biz siz tarafından olmalıdır bilgi göre"
    ),
    "id": (
        "yang dan di untuk dengan ini itu dari pada tidak adalah dalam ke akan atau juga oleh sebagai anda"
        " kami telah dapat bisa ada saya lebih harus sudah karena jika tersebut bahwa"
    ),
    "vi": (
        "và của là có không được cho các một trong với này đã những người để từ khi đến như cũng nhưng bạn"
        " tôi phải hoặc về vào ra nếu thì"
    ),
    "ru": (
        "и в не на что с по это как к из у за от то для о но его все так был она они мы вы или бы же если уже"
        " при только есть может должен быть я он этот эта пожалуйста также нет чтобы"
    ),
    "uk": (
        "і в не на що з по це як до із у за від для про але його всі так був вона вони ми ви або якщо вже при"
        " тільки є може повинен бути я він цей ця будь також немає щоб та й"
    ),
    "bg": (
        "и в не на че с по това как към от у за до той се са ще но или ако вече при само е може трябва да"
        " бъде аз тя тези този моля също няма които който бяха бе го има"
    ),
}
# Letters, or pairs of them, that of the languages here only one or two write.
_LETTERS = {
    "de": "ß",
    "es": "ñ ¿ ¡",
    "pt": "ã õ",
    "fr": "œ ù ê",
    "sv": "ä ö å",
    "da": "ø æ å",
    "no": "ø å",
    "fi": "ä ö ää yö äy",
    "pl": "ł ą ę ś ż ź ć ń",
    "cs": "ř ě ů č š ž ť ď",
    "hu": "ő ű",
    "ro": "ț ş ţ ș ă",
    "tr": "ğ ı ş",
    "vi": "đ ơ ư ạ ả ấ ầ ế ề ể ệ ộ ớ ờ ợ ủ ứ ừ",
    "ru": "ы э ё",
    "uk": "і ї є ґ",
    "bg": "щ ъ",
}
_CYRILLIC = frozenset({"ru", "uk", "bg"})
_BY_SCRIPT = {"Greek": "el", "Hebrew": "he", "Thai": "th", "Devanagari": "hi", "Hangul": "ko"}
_SCRIPTS = ("Latin", "Cyrillic", "Arabic", "Han", "Hiragana", "Katakana", *_BY_SCRIPT)
LANGUAGES = frozenset({*_SMALL_WORDS, *_BY_SCRIPT.values(), "ar", "fa", "ur", "ja", "zh"})

_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|[^\s@]{1,64}@\S+|<[^<>\n]{1,200}>", re.DOTALL)
_OF_SCRIPT = {script: regex.compile(rf"\p{{{script}}}") for script in _SCRIPTS}
_LIGHT = frozenset({"Han", "Hiragana", "Katakana", "Hangul"})  # where one sign says as much as two or three letters
_LISTS = {language: frozenset(text.split()) for language, text in _SMALL_WORDS.items()}
_WEIGHTS = {word: 1 / times for word, times in Counter(w for words_ in _LISTS.values() for w in words_).items()}


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of the language that most of a text is in; None where that is not clear, or not known here."""
    prose = unicodedata.normalize("NFC", _NO_PROSE.sub(" ", text[:LONGEST_READ])).lower()
    signs = {script: len(pattern.findall(prose)) for script, pattern in _OF_SCRIPT.items()}
    weights = {script: count * (2.5 if script in _LIGHT else 1) for script, count in signs.items()}
    kana = signs["Hiragana"] + signs["Katakana"]
    east = weights["Han"] + weights["Hiragana"] + weights["Katakana"]
    others = {script: weight for script, weight in weights.items() if script not in ("Han", "Hiragana", "Katakana")}
    script = max(others, key=lambda name: others[name])
    total = east + sum(others.values())
    if total < 5 or max(east, others[script]) < 0.6 * total:
        return None
    if east > others[script]:
        return "ja" if kana > 0.1 * (kana + signs["Han"]) else "zh"
    if script in _BY_SCRIPT:
        return _BY_SCRIPT[script]
    if script == "Arabic":
        return _of_arabic(prose)
    return _by_small_words(prose, cyrillic=script == "Cyrillic")


def _of_arabic(prose: str) -> str:
    if re.search("[ٹڈڑںےہھ]", prose):
        return "ur"
    return "fa" if re.search("[پچژگکی]", prose) else "ar"


def _by_small_words(prose: str, *, cyrillic: bool) -> str | None:
    found = Counter(words(prose))
    known = [language for language in _SMALL_WORDS if (language in _CYRILLIC) is cyrillic]
    points = dict.fromkeys(known, 0.0)
    for language in known:
        points[language] += sum(found[word] * _WEIGHTS[word] for word in _LISTS[language].intersection(found))
        for letter in _LETTERS.get(language, "").split():
            points[language] += 0.3 * min(prose.count(letter), 10)
    (best, most), (_, next_) = sorted(points.items(), key=lambda item: -item[1])[:2]
    return best if most >= CLEAR and most >= next_ + AHEAD and most >= next_ * TIMES else None
