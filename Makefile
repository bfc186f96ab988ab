# Every command a person needs; `make help` lists them. All set-up happens by itself.

PYTHON ?= python3.11
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)
READY := .venv/.installed
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help repro compare test lint format clean lock

help:  ## list these commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

repro: $(READY)  ## run the whole study, or what changed of it, and show the comparison
	dvc repro
	@cat reports/summary.txt

compare: $(READY)  ## show the experiments: settings that differ, accuracies, exact answers
	@python scripts/compare_experiments.py

test: $(READY)  ## run the tests
	python -m pytest

lint: $(READY)  ## check style and types
	ruff check .
	ruff format --check .
	mypy stages scripts tests

format: $(READY)  ## format the code
	ruff format .
	ruff check --fix .

clean:  ## remove what the stages made; data/raw, metrics and DVC's cache stay
	rm -rf data/prepared data/instructions data/mixed models/base models/sentiment_fine_tuned \
	  models/mixed_fine_tuned curves predictions reports logs

lock:  ## resolve requirements.in anew into requirements.lock
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	$(PYTHON) -m venv "$$scratch" && \
	"$$scratch/bin/python" -m pip --disable-pip-version-check install -r requirements.in && \
	{ grep '^#' requirements.lock; \
	  "$$scratch/bin/python" -m pip freeze | sed -E 's/\+(cpu|cu[0-9]+)$$//'; } > "$$scratch/lock" && \
	cp "$$scratch/lock" requirements.lock

$(READY): requirements.lock
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: no $(PYTHON) here: install Python 3.11, or say make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install -r requirements.lock
	@touch $@
