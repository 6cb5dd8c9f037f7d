"""Runs inside the host: sets it up, asks for every page that needs no argument, and prints what it saw as JSON."""

# ruff: noqa: E402 - models can be imported only once Django is set up
import json
import re
import sys
from pathlib import Path

import django

django.setup()

import hostsite
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, reverse

import evaluations
import pilots
from evaluations.tasks import hint
from pilots.urls import urlpatterns

call_command("check", databases=["default"], fail_level="WARNING", stdout=sys.stderr)
call_command("migrate", verbosity=0)
call_command("makemigrations", check_changes=True, dry_run=True, stdout=sys.stderr)
call_command("collectstatic", interactive=False, verbosity=0)
call_command("apply", Path(hostsite.__file__).parent / "portfolio.json", stdout=sys.stderr)
call_command("export", "portfolio", stdout=sys.stderr)

signed_out = Client()
refused = signed_out.get(reverse("pilots:home"))
pages = {"signed out": signed_out.get(reverse("pilots:sign-in"))}
client = Client()
client.force_login(User.objects.create_superuser("ana"))
for pattern in urlpatterns:
    if isinstance(pattern, URLPattern) and not pattern.pattern.converters:
        pages[str(pattern.name)] = client.get(reverse(f"pilots:{pattern.name}"))
pages["pilot"] = client.get(reverse("pilots:pilot", args=["triage-to-mai"]))
api = {
    "signed out": signed_out.get(reverse("pilots:api:pilots")).status_code,
    "servers": client.get(reverse("pilots:api:schema")).json()["servers"],
    "pilots": [row["slug"] for row in client.get(reverse("pilots:api:pilots")).json()["results"]],
}
html = "\n".join(page.content.decode() for page in pages.values() if not page.streaming)
addresses = sorted(set(re.findall(r'(?:src|href|action|hx-get|hx-post)="([^"#?]+)', html)))

client.post(reverse("pilots:write-export"), {"key": "portfolio"})
hint(1, chunks=1)
queue = Path(current_app.conf.broker_transport_options["data_folder_out"])
json.dump(
    {
        "packages": [evaluations.__path__[0], pilots.__path__[0]],
        "refused": [refused.status_code, refused.headers.get("Location")],
        "api": api,
        "pages": {name: page.status_code for name, page in pages.items()},
        "assets": [address for address in addresses if address.startswith(settings.STATIC_URL)],
        "addresses": [address for address in addresses if not address.startswith(settings.STATIC_URL)],
        "celery": current_app.main,
        "queued": sorted(message.name.split(".")[-2] for message in queue.glob("*.msg")),
        "schedule": sorted(current_app.conf.beat_schedule),
        "late": {name: task.acks_late for name, task in current_app.tasks.items() if not name.startswith("celery.")},
    },
    sys.stdout,
)
