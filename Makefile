# Two commands are all there is to set up: `make repro` runs the pipeline, `make test` the tests. Both make .venv first.
.DEFAULT_GOAL := help
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
READY := .venv/.ready

.PHONY: help setup repro test test-fast lint check format docs-params clean

help:  ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Genga needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

setup: $(READY)  ## make .venv with everything in it (about 6 GB, minutes)

repro: $(READY)  ## run the whole pipeline (what has not changed is not run again)
	@git rev-parse --git-dir > /dev/null 2>&1 || { echo "This folder is no git repository, and DVC needs one: git init && git add -A && git commit -m start"; exit 2; }
	dvc repro
	@echo
	@echo "Done. Your photos, redrawn:  data/predict/pictures/   (overview: data/predict/sheet.jpg)"
	@echo "Training, looked at:         data/train/samples/      data/evaluate/index.html   (photo and result to slide, numbers, advice)"
	@echo "The data set, looked at:     data/report/index.html   (what it was made of, and what is likely to go wrong)"
	@echo "Numbers:                     source .venv/bin/activate; dvc metrics show; dvc plots show"

# A file's tests stay in one process, for what they share. Above four processes memory runs out before time does. A process
# that is lost ends the run, which would else wait for its tests for ever.
test: $(READY)  ## run the tests
	pytest -n auto --maxprocesses 4 --dist loadfile --max-worker-restart 0

lint: $(READY)  ## check format, style and types
	ruff format --check .
	ruff check .
	mypy

check: lint test  ## both

format: $(READY)  ## format and mend what lint can mend
	ruff format .
	ruff check --fix .

docs-params: $(READY)  ## write docs/params.md from pipeline/params
	python -m pipeline.params.document

clean:  ## remove what stages made (not films, photos, DVC's cache, checkpoints)
	rm -rf data/sample data/keyframes data/photo_index data/dedup data/crop data/edge_smooth data/split data/style_profile data/pseudo_targets data/report data/pretrain data/train data/evaluate data/predict data/export data/.partial
