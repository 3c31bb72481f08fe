# Everything a reader or a contributor runs; `make` alone prints the list.
# Needs GNU make 3.81 or newer and Python 3.11 to 3.13, nothing else: each target builds .venv first if it has to.

PY := .venv/bin/python
# JupyterLab's settings, in which the menus for those who grade are switched off, once.
LAB := .venv/etc/jupyter/labconfig/page_config.json

.PHONY: help setup notebooks refresh test lab handout slides grading bundle site clean .venv

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  PYTHON=python3.12              the Python that .venv is made with (3.11, 3.12 or 3.13)'
	@echo '  PIP_ARGS="..."                 install with pip, and pass this on to it (which build of torch, say)'
	@echo '  UV_TORCH_BACKEND=cpu           the build of torch (cpu, cu130, auto), if uv installs: it does if it is there'
	@echo '  NB="01_load_models 02_..."     the notebooks to run, for notebooks and refresh (all if unset)'

setup: .venv ## Make .venv and install everything, at the versions in constraints.txt
	@echo "Ready. To use it in your shell: source .venv/bin/activate"

notebooks: .venv ## Run the notebooks; executed copies and HTML go to build/, figures to figures/
	$(PY) notebooks/run.py $(NB)

refresh: .venv ## The same, and write the new outputs back into notebooks/
	$(PY) notebooks/run.py --in-place $(NB)

test: .venv ## Check the style, run the tests, rerun the notebooks and compare their outputs
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pytest -n auto --maxprocesses 4
	$(PY) -m pytest -n auto --maxprocesses 2 --dist loadfile --no-loadscope-reorder \
	  --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks/

lab: .venv ## Open JupyterLab in notebooks/
	@[ -e $(LAB) ] || { mkdir -p $(dir $(LAB)); echo '{"disabledExtensions": {"@jupyter/nbgrader": true}}' > $(LAB); }
	cd notebooks && ../$(PY) -m jupyterlab

handout: .venv ## Pack the notebooks without outputs and solutions for a class: build/inbedder-handout.zip
	$(PY) scripts/teaching.py handout

slides: .venv ## Make slides of the notebooks: build/slides/
	$(PY) scripts/teaching.py slides

grading: .venv ## Make a course for nbgrader with three exercises: build/grading/
	$(PY) scripts/teaching.py grading

bundle: .venv ## Pack the course for rooms without a network: build/inbedder-course.zip
	$(PY) scripts/bundle.py

site: .venv ## Make the course into web pages, in build/site/, from the notebooks as they are stored
	$(PY) site/build.py

clean: ## Remove build/ and caches (to start over entirely: rm -rf .venv)
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find . \( -name .venv -o -name .git \) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# Any Python from 3.8 on can run the script, which looks for the right one itself; it is silent if all is there.
.venv:
	@for p in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python; do \
	  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1 && exec "$$p" scripts/venv.py $(PIP_ARGS); \
	done; echo 'No usable Python found: 3.11, 3.12 or 3.13 is needed.' >&2; exit 1
