# The only commands; `make help` lists them. CI calls check and test.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An index with another build of torch, such as https://download.pytorch.org/whl/cpu (no CUDA, 200 MB).
TORCH_INDEX ?=
# How long `make soak` takes, without the troubles before and the siege after; what it chooses by.
MINUTES ?= 10
SEED ?= 1
# What make train trains: mitonet, nucleonet or dropnet.
MODEL ?= mitonet
export OMP_WAIT_POLICY := PASSIVE
# The products of phantoms are small: on a busy machine two threads take several times as long as one.
export OPENBLAS_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help run test check lint format openapi bench soak train clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Install what is missing and start the service on http://127.0.0.1:8000
	@exec $(BIN)/emserve up

# Each of them would start a thread for each core, and these wait for one another.
test: export OMP_NUM_THREADS := 1
test: $(VENV)/.dev ## Run every test, three at a time: most wait for real processes
	$(BIN)/python -m pytest -n 3 --dist loadfile

check: lint ## What CI checks besides the tests
	@$(BIN)/python -m service.write_openapi $(VENV)/openapi.json
	@cmp -s $(VENV)/openapi.json openapi/openapi.json || { \
		echo "openapi/openapi.json is not what the code says: run 'make openapi' and look at the difference"; exit 1; }
	@$(BIN)/pip check
	@$(BIN)/python -m tests.audit
	@echo "all checks passed"

lint: $(VENV)/.dev ## Format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: $(VENV)/.dev ## Write openapi/openapi.json from the code
	$(BIN)/python -m service.write_openapi openapi/openapi.json

bench: $(VENV)/.dev ## Measure against the plain methods, side by side
	$(BIN)/python -m benchmarks

soak: $(VENV)/.dev ## Torment a service for MINUTES (10), then look whether it kept every promise
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED)

# A background job of a shell hears no Ctrl-C, so the pool is ended with the training, however that ends.
# The allocator keeps what it has: a step gives back and takes hundreds of megabytes, and new pages cost a tenth of it.
train: export GLIBC_TUNABLES := glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=4000000000
train: $(VENV)/.dev ## Train a starter model on generated images, or go on; MODEL=nucleonet or dropnet is another
	$(BIN)/python -m training.pool training/runs/pool & pool=$$!; \
	trap 'kill $$pool 2>/dev/null' EXIT; trap 'exit 130' INT; trap 'exit 143' HUP TERM; \
	$(BIN)/python -m training.train training/runs/$(MODEL) --model $(MODEL)
	$(BIN)/python -m training.release training/runs/$(MODEL)
	$(BIN)/python -m training.score $(MODEL)@starter

clean: ## Remove the virtual environment; data stays
	rm -rf $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/.venv
	@$(call install,service$(comma)worker)
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/.venv
	@$(call install,dev)
	@touch $@ $(VENV)/.run

comma := ,
define install
	echo "Installing emserve[$(1)] into $(VENV); this happens once"; \
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1' && \
	if [ -n "$(TORCH_INDEX)" ]; then \
		$(BIN)/pip install --quiet --progress-bar on --index-url $(TORCH_INDEX) -c constraints.txt torch; fi && \
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --progress-bar on -c constraints.txt -e '.[$(1)]'
endef

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer with its venv module is missing. On Debian and Ubuntu:"; \
		echo "  sudo apt install -y python3 python3-venv"; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@
