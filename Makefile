# Two commands: `make demo` sets up and tunes a real model, `make test` sets up and passes every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced

.PHONY: demo stack test soak check format lint types bench screenshots lock clean

demo: $(STAMP)
	$(BIN)/tunebook up --data .tunebook --slots 2 --run examples/digits_study.toml

# The installation of docker-compose.yml without containers, until Ctrl-C; STACK="--namespaces" for hosts of their own.
stack: $(STAMP)
	$(BIN)/python -m stack $(STACK)

test: $(STAMP)
	$(BIN)/python -m pytest -n 3 --dist loadfile

# The promises at full size, most of them two at a time (at most an hour on two cores); their figures go into
# docs/reliability.md.
SOAK := -m pytest tests/promises --soak --figures .soak.jsonl
soak: $(STAMP)
	rm -f .soak.jsonl
	$(BIN)/python $(SOAK) -m "not quiet" -n 2 --dist loadfile; first=$$?; $(BIN)/python $(SOAK) -m quiet; \
		passed=$$(($$first + $$?)); $(BIN)/python -m tests.promises.table .soak.jsonl && exit $$passed

check: lint types
format: $(STAMP)
	$(BIN)/ruff format .
lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
types: $(STAMP)
	$(BIN)/mypy
bench: $(STAMP)
	for bench in ingest report ask open_study findings_cost; do $(BIN)/python -m benchmarks.$$bench || exit 1; done
screenshots: $(STAMP)
	for part in playbook tutorial watching schedulers; do $(BIN)/python -m screenshots $$part || exit 1; done
lock: $(STAMP)
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 \
		--no-header --quiet -o requirements.lock
clean:
	rm -rf $(VENV) .tunebook

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@
