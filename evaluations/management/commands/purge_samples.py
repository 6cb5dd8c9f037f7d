"""``purge_samples``: remove prompts and answers that were kept their time."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.models import Team, Workload
from evaluations.services.errors import Refused
from evaluations.services.purging import purge_contents
from evaluations.services.teams import DAYS_AT_MOST


class Command(PilotsCommand):
    help = (
        "Remove prompts and answers that were kept as long as the team's data agreement, else the site, says."
        " Digests, scores, figures and the record of calls and money stay."
    )
    name = "purge_samples"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--team", metavar="SLUG")
        parser.add_argument("--workload", metavar="SLUG")
        parser.add_argument(
            "--older-than", type=int, metavar="DAYS", help="in place of every period: captured so long ago; 0: all"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")

    def run(self, **options: Any) -> tuple[Any, bool]:
        older_than = options["older_than"]
        if older_than is not None and not 0 <= older_than <= DAYS_AT_MOST:
            raise Refused(f"must be between 0 and {DAYS_AT_MOST:,} days", field="older-than")
        team = Team.objects.filter(slug=options["team"]).first()
        workload = Workload.objects.select_related("team").filter(slug=options["workload"]).first()
        for name, found in (("team", team), ("workload", workload)):
            if options[name] is not None and found is None:
                raise Refused(f"no {name} {options[name]!r}", field=name)
        if team is not None and workload is not None and workload.team_id != team.pk:
            raise Refused(f"workload {workload.slug} belongs to team {workload.team.slug}", field="workload")
        report = purge_contents(
            by=self.actor,
            at=self.now,
            team=team,
            workload=workload,
            older_than=older_than,
            dry_run=options["dry_run"],
        )
        return report.to_document(), True

    def text(self, document: Any) -> str:
        verb = "would go" if document["dry_run"] else "purged"
        lines = [
            f"{row['workload']} ({row['team']}): {_row(row, verb)}, kept {row['days']} days"
            for row in document["workloads"]
        ]
        return "\n".join([*lines, f"in all: {_row(document, verb)}"])


def _row(row: dict[str, Any], verb: str) -> str:
    held = f", {row['held']:,} held by a run that goes on" if row["held"] else ""
    return f"contents of {row['samples']:,} samples and {row['answers']:,} answers {verb}{held}"
