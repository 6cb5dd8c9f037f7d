import pytest

from pilots.exporters.formulas import Place, expand

PLACES = {
    "spells": Place("Bob's spells", {"status": 2, "days": 28}, rows=10),
    "none": Place("None", {"status": 1}, rows=0),
    "summary": Place("Summary", {}, cells={"all": "$C$6"}),
}


@pytest.mark.parametrize(
    ("expression", "expanded"),
    [
        ('COUNTIF({spells.status},"x")', "=COUNTIF('Bob''s spells'!$B$2:$B$11,\"x\")"),
        ("SUM({spells.days})", "=SUM('Bob''s spells'!$AB$2:$AB$11)"),
        ("{spells.status:3}", "='Bob''s spells'!$B$4"),
        ("SUM({none.status})", "=SUM('None'!$A$2:$A$2)"),
        ("1/{summary.all}", "=1/'Summary'!$C$6"),
        ("{days}*{days:-1}*{1,2}", "=AB7*AB6*{1,2}"),
    ],
)
def test_references_are_resolved(expression, expanded):
    assert expand(expression, PLACES, PLACES["spells"], row=7) == expanded


@pytest.mark.parametrize("expression", ["{spells.nothing}", "{nowhere.status}", "{summary.nothing}", "{nothing}"])
def test_a_reference_to_nothing_is_an_error_that_names_it(expression):
    with pytest.raises(KeyError, match="does not exist"):
        expand(expression, PLACES, PLACES["spells"], row=7)
