# Everything a reader or a contributor runs; `make` alone prints the list.
# Needs GNU make 3.81 or newer and Python 3.11 to 3.13, nothing else: each target builds .venv first if it has to.

VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := $(VENV)/.installed
EXTRAS := notebooks,test,train,evaluate,ecosystem
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11 python)

# Python code, for `python -c`: is this version one of ours, and is this .venv really the one in this folder?
VERSION := import sys; print(sys.version_info[:2])
SUPPORTED := import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
OURS := import os, sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13) \
	and os.path.realpath(sys.prefix) == os.path.realpath("$(VENV)")))
# Shell code: does .venv work, was it made in this folder (or not finished), by the PYTHON asked for (if any)?
USABLE := $(PY) -c '$(OURS)' 2>/dev/null \
	&& { [ ! -e $(STAMP) ] || [ "`cat $(STAMP)`" = "$(CURDIR)" ]; } \
	&& { [ -z "$(PYTHON)" ] || [ "`$(PY) -c '$(VERSION)'`" = "`$(PYTHON) -c '$(VERSION)' 2>/dev/null`" ]; }

.PHONY: help setup notebooks refresh test lab clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  PYTHON=python3.12              the Python that .venv is made with (3.11, 3.12 or 3.13)'
	@echo '  PIP_ARGS="..."                 passed on to pip install, for example to choose the build of torch'
	@echo '  NB="01_load_models 02_..."     the notebooks to run, for notebooks and refresh (all if unset)'

setup: $(STAMP) ## Make .venv and install everything, at the versions in constraints.txt
	@echo "Ready. To use it in your shell: source $(VENV)/bin/activate"

notebooks: $(STAMP) ## Run the notebooks; executed copies and HTML go to build/, figures to figures/
	$(PY) notebooks/run.py $(NB)

refresh: $(STAMP) ## The same, and write the new outputs back into notebooks/
	$(PY) notebooks/run.py --in-place $(NB)

test: $(STAMP) ## Check the style, run the tests, rerun the notebooks and compare their outputs
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pytest -n auto --maxprocesses 4
	$(PY) -m pytest --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks/

lab: $(STAMP) ## Open JupyterLab in notebooks/
	cd notebooks && ../$(PY) -m jupyterlab

clean: ## Remove build/ and caches (to start over entirely: rm -rf .venv)
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find . \( -name .venv -o -name .git \) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# The stamp is written last and says where: an interrupted, moved or outdated .venv is put right on the next call.
ifneq "$(shell $(USABLE) && [ -e $(STAMP) ] && echo yes)" "yes"
.PHONY: $(STAMP)
endif

$(STAMP): pyproject.toml constraints.txt
	@$(USABLE) || { \
	  for p in $(CANDIDATES); do $$p -c '$(SUPPORTED)' >/dev/null 2>&1 && break; p=; done; \
	  if [ -z "$$p" ]; then \
	    echo "No usable Python: tried $(CANDIDATES)." >&2; \
	    echo "Python 3.11, 3.12 or 3.13 with its venv module is needed (Debian, Ubuntu: apt install python3-venv)." >&2; \
	    echo "If you have one elsewhere: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  [ ! -e $(VENV) ] || echo "Rebuilding $(VENV): it is incomplete, was moved, or has another Python."; \
	  rm -rf $(VENV) && $$p -m venv --without-pip $(VENV); }
	@rm -f $(STAMP)
	@for d in $(VENV)/lib/python*/site-packages/*.dist-info; do \
	  [ ! -d "$$d" ] || [ -e "$$d/INSTALLER" ] || { echo "Dropping half-installed $$d"; rm -rf "$$d"; }; done
	@$(PY) -m pip --version >/dev/null 2>&1 || { \
	  rm -rf $(VENV)/lib/python*/site-packages/pip $(VENV)/lib/python*/site-packages/pip-*.dist-info; \
	  $(PY) -m ensurepip --default-pip >/dev/null; }
	$(PY) -m pip install $(PIP_ARGS) -c constraints.txt -e '.[$(EXTRAS)]'
	@echo "$(CURDIR)" > $(STAMP)
