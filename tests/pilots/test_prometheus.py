"""The text format, as its specification shows it (prometheus.io, exposition formats, text-based format)."""

from decimal import Decimal

from pilots.prometheus import Family, render


def test_each_family_has_its_help_its_type_and_its_samples() -> None:
    families = [
        Family("http_requests_total", "counter", "The total.", [({"method": "post", "code": "200"}, 1027)]),
        Family("metric_without_labels", "gauge", "One.", [({}, 12.47)]),
        Family("nothing_known", "gauge", "None.", []),
    ]
    assert render(families) == (
        "# HELP http_requests_total The total.\n"
        "# TYPE http_requests_total counter\n"
        'http_requests_total{method="post",code="200"} 1027\n'
        "# HELP metric_without_labels One.\n"
        "# TYPE metric_without_labels gauge\n"
        "metric_without_labels 12.47\n"
        "# HELP nothing_known None.\n"
        "# TYPE nothing_known gauge\n"
    )


def test_labels_are_escaped_and_money_is_never_in_scientific_notation() -> None:
    [sample] = render([Family("m", "gauge", "M.", [({"path": 'C:\\DIR\n"x"'}, Decimal("1E-9"))])]).splitlines()[2:]
    assert sample == 'm{path="C:\\\\DIR\\n\\"x\\""} 0.000000001'
