"""Asking for blind reviews, giving them, and giving them to others.

Public surface: ``AskForm``, ``ReviewForm``, ``HandOverForm``.
"""

from __future__ import annotations

from secrets import randbelow
from typing import Any

from django import forms
from django.contrib.auth.models import User

from evaluations.enums import ReviewChoice, Side
from evaluations.models import Team
from evaluations.services.review_batches import LARGEST, QUESTION
from evaluations.services.reviews import NOTE
from pilots.forms.base import ServiceForm
from pilots.selectors.reviews import reviewers_of


class AskForm(ServiceForm):
    """Which samples, who reads them, and how many are read twice."""

    method = forms.TypedChoiceField(
        choices=ReviewChoice.choices,
        coerce=ReviewChoice,
        label="Samples",
        help_text="Only samples chosen at random say what people would prefer of all of them.",
    )
    size = forms.IntegerField(min_value=1, max_value=LARGEST, initial=50, label="How many")
    second_percent = forms.IntegerField(
        min_value=0,
        max_value=100,
        initial=20,
        label="Read by two, in %",
        help_text="Their agreement says how far the answers can be trusted.",
    )
    reviewers = forms.ModelMultipleChoiceField(
        User.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        help_text="Samples are shared out evenly. Whoever knows the answers already should not review.",
    )
    question = forms.CharField(max_length=300, initial=QUESTION, label="What to judge by")
    seed = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        label="Seed",
        help_text="Decides samples, readers and sides. Empty: drawn now, and kept.",
    )

    def __init__(self, data: Any = None, *, team: Team) -> None:
        super().__init__(data)
        reviewers: Any = self.fields["reviewers"]
        reviewers.queryset = reviewers_of(team)
        reviewers.label_from_instance = lambda person: person.get_username()

    def clean_seed(self) -> int:
        seed: int | None = self.cleaned_data["seed"]
        return randbelow(2**31) if seed is None else seed


class ReviewForm(forms.Form):
    """One answer, as a button says it."""

    side = forms.TypedChoiceField(choices=Side.choices, coerce=Side)
    note = forms.CharField(required=False, max_length=NOTE, strip=True)
    seen = forms.IntegerField(min_value=0)


class HandOverForm(ServiceForm):
    """Whose open reviews go to whom."""

    reviewer = forms.ModelChoiceField(User.objects.none(), label="Open reviews of")
    to = forms.ModelChoiceField(User.objects.none(), label="Go to")

    def __init__(self, data: Any = None, *, team: Team, reading: list[int]) -> None:
        super().__init__(data)
        of, to = self.fields["reviewer"], self.fields["to"]
        assert isinstance(of, forms.ModelChoiceField)
        assert isinstance(to, forms.ModelChoiceField)
        of.queryset = User.objects.filter(pk__in=reading).order_by("username")
        to.queryset = reviewers_of(team)
