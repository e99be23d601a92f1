# Two commands do all the set-up: `make demo` and `make test`. Python 3.11 to 3.14 and make must be there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers

TOOLS := .tools

.PHONY: help demo test test-slow test-tools lint format image peers clean

help:
	@echo "make demo       phantom data, train, predict, evaluate: see it work (a few minutes)"
	@echo "make test       the tests, with coverage (under 10 minutes on 2 cores)"
	@echo "make test-slow  the tests that take minutes: the wheel, trainings on real data"
	@echo "make test-tools what segkit writes, read by dcmqi, NiiVue, SimpleITK, dciodvfy, storescu ..."
	@echo "make lint       style, types and the floors of the imports"
	@echo "make format     let ruff format the code"
	@echo "make image      the container image, with docker"
	@echo "make peers      an environment with segkit, nnU-Net and MONAI beside each other, for benchmarks/"
	@echo "make clean      remove $(VENV) and what tests and builds left"

demo: $(STAMP)
	$(BIN)/segkit demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --cov=segkit --cov-report=term:skip-covered

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# apt-get install dicom3tools dcmtk plastimatch has dciodvfy, storescu and plastimatch; what is not there is skipped, and the reason said.
test-tools: $(STAMP) $(TOOLS)/.installed
	SEGKIT_TOOLS=$(abspath $(TOOLS)) $(BIN)/python -m pytest -m slow -rs tests/tools

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

peers: $(PEERS)/.installed

image:
	docker build -f docker/Dockerfile -t segkit .

clean:
	rm -rf $(VENV) $(PEERS) $(TOOLS) build dist .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Made anew when what is to be installed changes.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 14) else \
	"segkit needs Python 3.11, 3.12, 3.13 or 3.14, and $(PYTHON) is %d.%d. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" \
	% sys.version_info[:2])'
	@echo "Installing segkit into $(VENV), once: some minutes and 1.5 GB, or 6 GB with CUDA."
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

# nnU-Net is no dependency of segkit: it is installed here only to be measured beside it.
$(PEERS)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -c constraints.txt -e . nnunetv2==2.8.1
	@touch $@

# Other programs that read what segkit writes, in a folder of their own. NiiVue needs Node.js 20 or later.
$(TOOLS)/.installed: Makefile
	$(PYTHON) -m venv --clear $(TOOLS)/dcmqi
	$(TOOLS)/dcmqi/bin/python -m pip install --quiet dcmqi==1.5.7
	-mkdir -p $(TOOLS)/niivue && npm install --silent --no-audit --no-fund --prefix $(TOOLS)/niivue @niivue/niivue@0.69.0
	@touch $@
