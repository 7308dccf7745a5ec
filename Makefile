# `make run` starts the product, `make check` is what a change must pass. PY names the Python that has the requirements.
PY ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)
.PHONY: run test test-long check bench screenshots install

install:
	python3 -m venv .venv && .venv/bin/python -m pip install -q -r requirements-dev.txt -r requirements-lint.txt

run:
	$(PY) -m streamlit run app.py

test:
	$(PY) -m pytest -m "not long"

test-long:
	$(PY) -m pytest -m long

check:
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -c "from importlinter.cli import lint_imports_command as lint; lint()"
	$(PY) -m pytest -m "not long"

bench:
	$(PY) -m tests.benchmarks

screenshots:
	$(PY) -m tests.e2e.screenshots
