# make demo: grade the example submissions and show the table.   make test: all tests.   make quick: unit tests of what most changes touch.
# All make .venv first, with pip and the pinned versions of constraints.txt; .venv/bin/dgm is there afterwards.

PYTHON ?= python3
INSTALLED := .venv/installed
# Tests wait, for a limit or another process: three to two processors.
TESTERS := $(shell $(PYTHON) -c "import os; print(3 * (os.cpu_count() or 1) // 2)")
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder
UNITS := tests/authoring tests/cli tests/renderings tests/statistics tests/submission $(wildcard tests/test_*.py)

.PHONY: demo test quick install

demo: install
	.venv/bin/python examples/make_submissions.py
	.venv/bin/dgm grade examples/submissions/lecture1 --output results/lecture1 --regrade
	.venv/bin/dgm grade examples/submissions/families --output results/families --regrade

test: install
	$(PYTEST)

quick: install
	$(PYTEST) -m "not slow" $(UNITS)

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[student,instructor,cluster,docs,nbgrader,dev]'
	touch $@
