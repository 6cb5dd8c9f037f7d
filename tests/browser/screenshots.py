"""Pictures of the key pages with the demo's data, wide and narrow, light and dark: ``make screenshots``.

Everything runs on a data directory of its own that is gone afterwards; ``--data DIR`` keeps one for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from pilots.demo.portfolio import MAIN_PILOT
from pilots.management.processes import free_port, web_server
from tests.browser.conftest import FLAGS, NAMES

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = {1440: 900, 390: 844}  # height of the window
THEMES = ("light", "dark")
START_SECONDS = 60


def pages(run: int) -> dict[str, str]:
    """File name -> address."""
    pilot = f"pilots/{MAIN_PILOT}"
    return {
        "home": "",
        "pilots": "pilots/",
        "open": "open/",
        "pilot": f"{pilot}/",
        "pilot-timeline": f"{pilot}/timeline/",
        "pilot-evidence": f"{pilot}/evidence/",
        "pilot-periods": f"{pilot}/periods/",
        "pilot-replays": f"{pilot}/replays/",
        "pilot-rollback": f"{pilot}/record/rollback/",
        "run": f"runs/{run}/",
        "run-answers": f"runs/{run}/answers/",
        "run-answer": f"runs/{run}/answers/0/",
        "retention": "reports/retention/",
        "rollback-reasons": "reports/rollback-reasons/",
        "predictiveness": "reports/predictiveness/",
        "costs": "reports/costs/",
        "savings": "reports/savings/",
        "drift": "reports/drift/",
        "claims": "reports/claims/",
        "models": "catalogue/",
        "endpoints": "catalogue/endpoints/",
        "prices": "catalogue/prices/",
        "exports": "exports/",
        "audit": "audit/",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures of the key pages with the demo's data.")
    parser.add_argument("pages", nargs="*", help="only these, by the name of their file")
    parser.add_argument("--to", type=Path, default=ROOT / "screenshots", metavar="DIR")
    parser.add_argument("--data", type=Path, metavar="DIR", help="a data directory to keep, for the next time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = (given.data or Path(own)).resolve()
        environment = {**os.environ, "PILOTS_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "config.settings"}
        environment.pop("DATABASE_URL", None)
        environment.pop("CELERY_BROKER_URL", None)
        run = _demo(environment)
        wanted = {name: path for name, path in pages(run).items() if name in given.pages or not given.pages}
        given.to.mkdir(parents=True, exist_ok=True)
        password = json.loads((folder / "demo" / "state.json").read_text())["password"]
        with _site(environment) as base, _browser() as browser:
            for theme in THEMES:
                for width, height in WIDTHS.items():
                    page = browser.new_page(
                        viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
                    )
                    _sign_in(page, base, password)
                    for name, path in wanted.items():
                        page.goto(base + path)
                        page.screenshot(path=given.to / f"{name}-{width}-{theme}.png", full_page=True)
                    page.close()
    print(f"{len(wanted) * len(WIDTHS) * len(THEMES)} pictures in {given.to}")


def _demo(environment: dict[str, str]) -> int:
    """The number of the demo's replay."""
    command = [sys.executable, "manage.py", "demo", "--no-server", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return int(json.loads(done.stdout)["run"]["run"])


@contextmanager
def _site(environment: dict[str, str]) -> Iterator[str]:
    import django

    os.environ.update({name: environment[name] for name in ("PILOTS_DATA_DIR", "DJANGO_SETTINGS_MODULE")})
    django.setup()
    address = f"127.0.0.1:{free_port(8700)}"
    server = subprocess.Popen([sys.executable, *web_server(address)], cwd=ROOT, env=environment)
    try:
        base = f"http://{address}/"
        deadline = time.monotonic() + START_SECONDS
        while not _answers(base):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the site did not start")
            time.sleep(0.2)
        yield base
    finally:
        server.terminate()
        server.wait()


def _answers(base: str) -> bool:
    try:
        with urlopen(f"{base}sign-in/", timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


@contextmanager
def _browser() -> Iterator[Browser]:
    executable = next((path for name in NAMES if (path := shutil.which(name))), None)
    if executable is None:
        raise SystemExit(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS.split())
        yield launched
        launched.close()


def _sign_in(page: Page, base: str, password: str) -> None:
    page.goto(f"{base}sign-in/")
    page.fill("input[name=username]", "demo")
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(base)


if __name__ == "__main__":
    main()
