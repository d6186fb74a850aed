# make demo: grade the example submissions and show the table.   make test: all tests.
# Both make .venv first, with pip and the pinned versions of constraints.txt; .venv/bin/dgm is there afterwards.

PYTHON ?= python3
INSTALLED := .venv/installed

.PHONY: demo test install

demo: install
	.venv/bin/dgm grade examples/submissions --output results

test: install
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses auto --dist loadgroup

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[student,instructor,cluster,docs,nbgrader,dev]'
	touch $@
