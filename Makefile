# `make repro` runs the pipeline, `make test` the tests; both create .venv first if needed.
.DEFAULT_GOAL := help
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
READY := .venv/.ready
# Which build of PyTorch: cpu (no GPU, gigabytes less), cu126 (older drivers and GPUs) ...; default: the one that PyPI has.
TORCH ?=
TORCH_INDEX ?= https://download.pytorch.org/whl
LOCK := requirements.lock

.PHONY: help setup lock repro dataset test test-fast test-faults lint check format docs docs-params clean

help:  ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Genga needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv .venv
ifdef LOCKED
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $(LOCK)
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
else
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		$(if $(TORCH),--extra-index-url $(TORCH_INDEX)/$(TORCH)) --editable '.[dev]'
endif
	@touch $(READY)

setup: $(READY)  ## make .venv with everything in it (about 6 GB, minutes; TORCH=cpu: 2 GB; LOCKED=1: checked by digest)

lock:  ## write requirements.lock from pyproject.toml and constraints.txt
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --constraint constraints.txt --generate-hashes \
		--no-annotate --no-header --no-emit-index-url --output-file $(LOCK) pyproject.toml

repro: $(READY)  ## run the whole pipeline (only what has changed)
	@git rev-parse --git-dir > /dev/null 2>&1 || { echo "This folder is not a git repository, which DVC needs: git init && git add -A && git commit -m start"; exit 2; }
	dvc repro
	@echo
	@echo "Done. Your photos, redrawn:  data/predict/pictures/    (overview: data/predict/sheet.jpg)"
	@echo "Evaluation:                  data/evaluate/index.html  (photo and result to slide, numbers, advice; data/train/samples/)"
	@echo "The data set:                data/report/index.html    (what it consists of, and what is likely to go wrong)"
	@echo "Numbers:                     source .venv/bin/activate; dvc metrics show; dvc plots show"

dataset: $(READY)  ## make the data set and its card, without training; films alone or photos alone will do
	mkdir -p data/keyframes/about data/edge_smooth/about
	dvc repro report
	@echo
	@echo "Done. The data set: data/report/index.html; for other programs: genga pack (docs/dataset.md)"

# The tests of a file share one process, and with it their fixtures; the longest file comes first (tests/conftest.py). More than
# four processes run out of memory. If a process dies the run ends, instead of waiting for its tests forever.
test: $(READY)  ## run all tests (minutes)
	pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test-fast: $(READY)  ## run the quick tests (under a minute), for the loop of editing and testing
	pytest -n auto --maxprocesses 4 --dist loadfile --max-worker-restart 0 -m "not slow" --durations 5

test-faults: $(READY)  ## run the trials of hostile input, kills and a full disk (half an hour)
	pytest tests/faults -m "" --durations 10 -o faulthandler_timeout=3600

lint: $(READY)  ## check formatting, style and types
	ruff format --check .
	ruff check .
	mypy

check: lint test  ## lint and test

format: $(READY)  ## format, and fix what ruff can fix
	ruff format .
	ruff check --fix .

docs: $(READY)  ## build the documentation as a site: site/index.html
	zensical build --strict

docs-params: $(READY)  ## write docs/params.md from pipeline/params
	python -m pipeline.params.document

clean:  ## remove the outputs of all stages (not films, photos, DVC's cache, checkpoints)
	rm -rf data/sample data/sources data/keyframes data/photo_index data/dedup data/crop data/edge_smooth data/split data/report data/pretrain data/train data/evaluate data/predict data/export data/.partial
