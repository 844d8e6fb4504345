# Everything from a bare machine with Python 3.11, pip, git and gcc.
#   make demo    raw text to a report, in the folder runs/quickstart
#   make test    the tests
#   make check   lint, format and types
#   make bench   the measurements of benchmarks/
#   make bench-env   the environments of those that compare with peers, in .bench-venv

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check format bench bench-env clean

demo: $(READY)
	$(VENV)/bin/tongwen run recipes/quickstart.toml

test: $(READY)
	$(VENV)/bin/python -m pytest

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright

format: $(READY)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(READY)
	$(VENV)/bin/tongwen run recipes/quickstart.toml
	$(VENV)/bin/python benchmarks/verify_run.py recipes/quickstart.toml
	$(VENV)/bin/python benchmarks/kill.py recipes/quickstart.toml --kills 5

# Peers want versions of libraries that exclude each other and ours: three environments.
bench-env:
	for name in ours peers datatrove; do $(PYTHON) -m venv .bench-venv/$$name; done
	.bench-venv/ours/bin/python -m pip install --quiet --constraint constraints.txt \
	    --editable . datasketch scipy xxhash
	.bench-venv/peers/bin/python -m pip install --quiet --requirement benchmarks/peers.txt
	.bench-venv/datatrove/bin/python -m pip install --quiet \
	    --requirement benchmarks/peers-datatrove.txt

clean:
	rm -rf runs dist .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "tongwen needs Python 3.11 or newer"'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[train,demo,dev]'
	touch $(READY)
