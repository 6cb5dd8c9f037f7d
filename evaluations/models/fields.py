"""Field types of the engine.

Public surface: ``ExactDecimalField``, ``exact``, ``trillionths``, ``EnumField``, ``ModelNameField``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from evaluations.enums import Choice

if TYPE_CHECKING:
    # What the fields below take and give; the classes are generic for the type checker only.
    BigIntegerField = models.BigIntegerField[Any, Any]
    CharField = models.CharField[Any, Any]
    SlugField = models.SlugField[str, str]
else:
    BigIntegerField, CharField, SlugField = models.BigIntegerField, models.CharField, models.SlugField

PLACES = 12
_SCALE = Decimal(10) ** PLACES


class ExactDecimalField(BigIntegerField):
    """A ``Decimal`` with 12 places, kept as a 64-bit integer of trillionths: up to 9.2 million either way.

    One token at any published price is a whole number of trillionths, so sums are exact on every database and a
    conditional update can compare amounts (SQLite would keep a ``DecimalField`` as a float).
    """

    description = "Decimal with 12 places, stored as an integer"
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    # The integer range check of BigIntegerField compares stored units; ours is done in ``trillionths``.
    validators: list[Any] = []

    def get_prep_value(self, value: Any) -> Any:
        if hasattr(value, "resolve_expression"):
            return value
        return None if value is None else trillionths(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal | None:
        return None if value is None else of_trillionths(value)

    def to_python(self, value: Any) -> Decimal | None:
        if value is None or isinstance(value, Decimal):
            return value
        try:
            return Decimal(str(value))
        except ArithmeticError:
            raise ValidationError(f"{value!r} is not a number") from None

    def clean(self, value: Any, model_instance: Any) -> Decimal | None:
        cleaned = super().clean(value, model_instance)
        self.get_prep_value(cleaned)
        return cleaned  # type: ignore[no-any-return]

    def formfield(self, **kwargs: Any) -> Any:
        from django import forms

        return models.Field.formfield(self, **{"form_class": forms.DecimalField, "decimal_places": PLACES, **kwargs})


def trillionths(amount: Decimal | int | str) -> int:
    """``amount`` as it is stored; ``ValidationError`` where 12 places or 64 bits do not hold it."""
    scaled = Decimal(amount) * _SCALE
    if scaled != scaled.to_integral_value() or abs(scaled) >= 2**63:
        raise ValidationError(f"{amount} does not fit a number with {PLACES} decimal places below 9.2 million")
    return int(scaled)


def of_trillionths(stored: int) -> Decimal:
    """The amount that is stored so."""
    return normalised(Decimal(stored) / _SCALE)


def normalised(value: Decimal) -> Decimal:
    """Without trailing zeros and never in scientific notation."""
    value = value.normalize()
    return value.quantize(Decimal(1)) if value.as_tuple().exponent > 0 else value  # type: ignore[operator]


def exact(amount: Decimal | int | str) -> models.Value:
    """``amount`` for use in an ``F()`` expression on an ``ExactDecimalField``."""
    return models.Value(Decimal(amount), output_field=ExactDecimalField())


class EnumField(CharField):
    """A text column limited to one of our closed lists, in the form and in the database.

    The model's ``Meta.constraints`` carries the database's own check (see ``one_of``).
    """

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def __init__(self, enum: type[Choice], **kwargs: Any) -> None:
        self.enum = enum
        kwargs.setdefault("max_length", 24)
        kwargs["choices"] = enum.choices()
        super().__init__(**kwargs)

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        # Migrations see a plain text column and need not import our lists.
        kwargs.pop("choices", None)
        if isinstance(kwargs.get("default"), Choice):
            kwargs["default"] = kwargs["default"].value
        return name, "django.db.models.CharField", args, kwargs

    def clone(self) -> Any:
        _, _, args, kwargs = self.deconstruct()
        return models.CharField(*args, **kwargs)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Choice | None:
        return None if value in (None, "") else self.enum(value)

    def get_prep_value(self, value: Any) -> Any:
        # Read as None, stored as '': a row that was read can be saved again.
        return "" if value is None and not self.null else super().get_prep_value(value)

    def to_python(self, value: Any) -> Any:
        if value in (None, ""):
            return value
        # Not "value in enum": before Python 3.12 that refuses plain text.
        return self.enum(value) if value in self.enum._value2member_map_ else value


class ModelNameField(SlugField):
    """A slug as vendors write them: ``gpt-4.1`` and ``claude-3.5-sonnet`` have dots, others colons."""

    default_validators = [
        RegexValidator(
            r"^[A-Za-z0-9][A-Za-z0-9._:@-]*\Z", "letters, digits, dots, hyphens, underscores, colons and @ only"
        )
    ]

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.SlugField", args, kwargs


def one_of(field: str, enum: type[Choice], name: str) -> models.CheckConstraint:
    """The database's own refusal of a value that is not on the list."""
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": [m.value for m in enum]}), name=name)
