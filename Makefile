# Set up and run. Each target makes .venv when it is missing or older than what it is made from.

PYTHON ?= python3
MINUTES ?= 5
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo live test test-vm soak check format clean

demo: .venv/.base  ## the bundled clip through the pipeline, into out/
	$(BIN)/liveswap demo

live: .venv/.live  ## the page that shows you as somebody else; ARGS goes to `liveswap serve`
	$(BIN)/liveswap serve $(ARGS)

test: .venv/.dev  ## all tests but the slow ones; ARGS goes to pytest: make test ARGS='-m slow'
	$(BIN)/python -m pytest $(ARGS)

test-vm: .venv/.dev  ## a virtual machine with kernel cameras, as root with qemu and debootstrap; the first time it is built
	$(BIN)/python -m pytest -m vm $(ARGS) tests/vm

soak: .venv/.dev  ## minutes, or hours, of frames in bad weather; what must level out, into out/: make soak MINUTES=480
	mkdir -p out
	$(BIN)/liveswap-bench soak --minutes $(MINUTES) --out out/soak.json --plot out/soak.png $(ARGS)

check: .venv/.dev  ## what a change must pass besides the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.dev  ## write the code as ruff wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## forget .venv and what was made
	rm -rf .venv out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "liveswap needs Python 3.11 or newer and '$(PYTHON)' is not: name another one, as in make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	$(PYTHON) -m venv .venv

.venv/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) .
	@touch $@

.venv/.live: pyproject.toml constraints.txt | .venv/.base
	$(INSTALL) '.[webrtc]'
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/.base
	$(INSTALL) '.[dev,training,tensorboard,virtualcam,webrtc,insightface]'
	@touch $@
