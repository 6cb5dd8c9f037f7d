"""``import_samples WORKLOAD FILE``: read production logs into the pool and freeze a set of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.capture.registry import READERS
from evaluations.management.base import PilotsCommand
from evaluations.models import Workload
from evaluations.services.errors import Refused
from evaluations.services.sample_choice import parse_quota
from evaluations.services.samples import import_samples


class Command(PilotsCommand):
    help = "Read production logs into a workload's pool and freeze a set of them."
    name = "import_samples"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workload")
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", default="auto", metavar="KEY", help=f"auto, {', '.join(READERS.keys())}")
        parser.add_argument("--requests", type=Path, metavar="FILE", help="prompts of answers logged without them")
        parser.add_argument("--name", metavar="SET", help="name of the set; default: the file's")
        parser.add_argument("--take", type=int, metavar="N", help="freeze N of them; the pool gets all")
        parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the choice and the order")
        parser.add_argument("--stratify", metavar="FIELD", help="with --take: in proportion to this segment")
        parser.add_argument("--newest", type=int, metavar="N", help="only of the N that happened last")
        parser.add_argument("--per-cluster", type=int, metavar="N", help="at most N of one conversation or customer")
        parser.add_argument(
            "--quota",
            action="append",
            default=[],
            dest="quotas",
            metavar="SEGMENT=VALUE:N",
            help="with --take: at least N edge cases with this segment; may be repeated",
        )
        parser.add_argument("--names", type=Path, metavar="FILE", help="redact these names too, one a line")
        parser.add_argument(
            "--pattern",
            action="append",
            default=[],
            dest="patterns",
            metavar="KIND=REGEX",
            help="redact this too; may be repeated",
        )
        parser.add_argument("--no-redact", action="store_true", help="store personal data and secrets as captured")
        parser.add_argument("--skip-bad", action="store_true", help="list bad lines in a file instead of refusing all")

    def run(self, **options: Any) -> tuple[Any, bool]:
        workload = Workload.objects.select_related("team").filter(slug=options["workload"]).first()
        if workload is None:
            raise Refused(f"no workload {options['workload']!r}", field="workload")
        report = import_samples(
            workload=workload,
            path=options["file"],
            by=self.actor,
            at=self.now,
            redact=not options["no_redact"],
            progress=self.progress,
            quotas=[parse_quota(text) for text in options["quotas"]],
            patterns=dict(_pattern(text) for text in options["patterns"]),
            **{name: options[name] for name in _PASSED_ON},
        )
        if report.rejects_file is not None:
            self.progress(f"{report.rejected:,} bad lines are listed in {report.rejects_file}")
        return {
            "sample_set": None if report.sample_set is None else report.sample_set.pk,
            "read": report.read,
            "stored": report.stored,
            "duplicates": report.duplicates,
            "rejected": report.rejected,
            "redacted": report.redacted,
            "digest": report.digest,
        }, True


_PASSED_ON = (
    "format",
    "requests",
    "name",
    "take",
    "seed",
    "stratify",
    "newest",
    "per_cluster",
    "names",
    "skip_bad",
)


def _pattern(text: str) -> tuple[str, str]:
    kind, _, pattern = text.partition("=")
    if not kind.strip() or not pattern:
        raise Refused(f"{text!r} is not KIND=REGEX", field="pattern")
    return kind.strip(), pattern
