# Everything a newcomer needs: `make demo` and `make test` set up all they use by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODES ?= 1000
HOSTS_PER_RACK ?= 16
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

# Compiled modules are kept, whatever the user's environment says: without them each worker of the tests, and every program
# that a test starts, compiles all it imports anew.
export PYTHONDONTWRITEBYTECODE :=

# Whole groups on a real control plane; what each measures is said in benchmarks/README.md.
GANG_BENCHES := $(addprefix bench-,native growth filter ready reaction memory)

.PHONY: demo browser test controlplane unit fuzz plane check cluster drills drills-short drills-quick bench bench-quick bench-rollout bench-bringup bench-scale bench-bind bench-plan $(GANG_BENCHES) clean

demo: $(VENV)/.runtime
	@$(BIN)/lws-sched demo

test: controlplane check unit drills-short plane

# First, so that a missing Go is said at once.
controlplane: $(VENV)/.dev
	@$(BIN)/python -m tests.controlplane.build >/dev/null

# Without a cluster: pure code, and the whole system on the simulated one.
unit: $(VENV)/.dev
	@$(BIN)/pytest -m "not plane and not drill and not browser" --numprocesses 2 --dist worksteal --quiet

# What reads from a network or a file, fed with noise: each test that does so tries FUZZ_EXAMPLES times.
fuzz: $(VENV)/.dev
	@FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),2000) $(BIN)/pytest tests/unit/service/test_fuzz.py \
	  tests/unit/extender/test_listener_limits.py tests/unit/admission/test_noise.py --numprocesses 2 --quiet

# Three hundred seeded schedules of random faults on the simulated cluster.
drills-short: $(VENV)/.dev
	@$(BIN)/pytest -m drill --numprocesses 2 --dist worksteal --quiet

# On the real control plane, built from Go modules on first use.
plane: controlplane
	@$(BIN)/pytest -m "plane and not long" --durations 10

check: $(VENV)/.dev
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

# Every named drill on the real control plane; then a thousand groups placed there under random faults, and ten thousand
# simulated drills, each from a printed seed. The last line is JSON, as below.
drills: controlplane
	@$(BIN)/pytest -m plane tests/drills --numprocesses 0 --quiet
	@$(BIN)/python -m tests.drills --real 1000 --simulated 10000

# Random faults on the simulated cluster, from printed seeds: as many drills as fit into 40 s, at most 500.
drills-quick: $(VENV)/.dev
	@$(BIN)/python -m tests.drills --simulated 500 --seconds 40

# The page in Debian's Chromium, headless; pictures of it into tests/browser/pictures.
browser: $(VENV)/.browser
	@for program in chromium chromedriver; do command -v $$program >/dev/null || \
	  { echo "The page's tests need Chromium and its driver: apt-get install chromium chromium-driver"; exit 1; }; done
	@$(BIN)/pytest -m browser tests/browser --durations 5 --quiet

cluster: controlplane
	@$(BIN)/python -m tests.system --nodes $(NODES) --hosts-per-rack $(HOSTS_PER_RACK)

# Placement: quality on traces, packing, defragmentation, speed; about 20 minutes on two cores. Into benchmarks/results.
bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks.placement $(BENCH_OPTIONS)

bench-quick: $(VENV)/.runtime
	@$(BIN)/python -m benchmarks.placement --quick $(BENCH_OPTIONS)

bench-rollout bench-bringup bench-scale: controlplane
	@$(BIN)/python -m benchmarks.controller_$(@:bench-%=%)

bench-bind: controlplane
	@$(BIN)/python -m benchmarks.bind_rate

$(GANG_BENCHES): controlplane
	@$(BIN)/python -m benchmarks.gang_$(@:bench-%=%) $(BENCH_OPTIONS)

# Whether `plan` foretells what the live scheduler does (200 trials), and how long it takes at 5,000 nodes.
bench-plan: controlplane
	@$(BIN)/python -m benchmarks.plan_agreement
	@$(BIN)/python -m benchmarks.plan_latency

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@echo "Making the Python environment in $(VENV) (about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lws-sched needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	@$(PIP_INSTALL) .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@$(PIP_INSTALL) '.[dev]'
	@touch $@

$(VENV)/.browser: $(VENV)/.dev
	@$(PIP_INSTALL) '.[browser]'
	@touch $@

$(VENV)/.bench: $(VENV)/.runtime
	@$(PIP_INSTALL) '.[bench]'
	@touch $@
