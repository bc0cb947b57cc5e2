# `make demo` and `make test` set up all they need; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# The interpreter that makes .venv: PYTHON if given, else the first of these that is 3.11 or newer.
PYTHON ?=
PYTHONS := python3 python3.13 python3.12 python3.11 python3.14

# More arguments for pytest, such as PYTEST_ARGS='-k parser'.
PYTEST_ARGS ?=

# The judges take processes of their own beside the other tests: the kernel, which mostly waits, and the second analyser,
# brute force, evaluators that ask one packet after another, corruption, schemas, a browser; and what is read and written at
# length. What they run does not count as covered: they would be half as fast.
KERNEL := tests/kernel
JUDGES := tests/corpus tests/analyzer tests/packets tests/cni/test_blocks.py tests/cni/test_naive_calico.py \
  tests/cni/test_cilium_kinds.py tests/cni/test_antrea_kinds.py tests/cni/test_dialects.py tests/cni/test_every_cni.py tests/cni/test_cover.py \
  tests/cni/test_schemas.py tests/cni/test_capabilities.py tests/proof/test_corruption.py tests/review/test_comparing.py \
  tests/review/test_comparing_policies.py tests/review/test_verify_mutations.py tests/lint tests/testplan tests/browser \
  tests/syntax/test_hostile_input.py tests/cli/test_hostile.py tests/ipsets/test_large.py tests/reporting/test_markdown.py \
  tests/cni/test_matrix.py tests/test_examples.py tests/test_wheel.py

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

HAVE_VENV := $(VENV)/.made
HAVE_RUNTIME := $(VENV)/.runtime
HAVE_TEST := $(VENV)/.test

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(HAVE_TEST) ## Make .venv with ipt2np, its dependencies and the test tools

.PHONY: demo
demo: $(HAVE_RUNTIME) ## Convert a sample; prints the policy and the findings
	@$(BIN)/ipt2np convert samples/subnet-with-a-hole.v4 --name test-network-policy --pod-selector role=db

.PHONY: test
test: $(HAVE_TEST) kernel-tools browser-tools lint types ## Run every check: ruff, mypy, pytest with coverage
	@$(BIN)/python -m pytest -q $(KERNEL) $(PYTEST_ARGS) >$(VENV)/kernel.log 2>&1 & kernel=$$!; \
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(JUDGES) $(PYTEST_ARGS) >$(VENV)/judges.log 2>&1 & judges=$$!; \
	status=0; \
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --cov --cov-report=term --cov-fail-under=90 \
	  $(addprefix --ignore=,$(KERNEL) $(JUDGES)) $(PYTEST_ARGS) || status=$$?; \
	wait $$judges || status=$$?; \
	wait $$kernel || status=$$?; \
	echo "--- the judges:"; \
	cat $(VENV)/judges.log; \
	echo "--- the kernel:"; \
	cat $(VENV)/kernel.log; \
	exit $$status

.PHONY: lint
lint: $(HAVE_TEST) ## Check the style with ruff
	@$(BIN)/ruff check .

.PHONY: types
types: $(HAVE_TEST) ## Check the types with mypy --strict
	@$(BIN)/mypy --strict

.PHONY: wheel
wheel: $(HAVE_TEST) ## Build the sdist and the wheel into dist/
	@$(BIN)/python -m build

.PHONY: docs
docs: $(HAVE_TEST) ## Write the pages that follow from the code
	@$(BIN)/python docs/generate.py

.PHONY: bench
bench: $(HAVE_TEST) ## Run the benchmarks
	@$(BIN)/python benchmarks/run.py
	@$(BIN)/python benchmarks/page.py

.PHONY: clean
clean: ## Remove .venv and everything built
	@rm -rf $(VENV) build dist htmlcov .coverage .coverage.* coverage.xml
	@rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find benchmarks src tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The kernel tests skip themselves where these tools are missing, so a failed install is no error here;
# with IPT2NP_REQUIRE_KERNEL=1 those tests fail instead.
.PHONY: kernel-tools
kernel-tools:
	@PATH="$$PATH:/usr/sbin:/sbin"; \
	for tool in iptables iptables-save ipset nft ip nc ncat busybox ping shellcheck; do \
	  command -v "$$tool" >/dev/null || missing=1; \
	done; \
	if [ -n "$${missing:-}" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing iptables, ipset, nftables, iproute2, and what test plans are run with, for the kernel tests"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update -qq && apt-get install -y -qq iptables ipset nftables iproute2 \
	      netcat-openbsd ncat busybox iputils-ping shellcheck; } \
	    </dev/null >/dev/null || echo "warning: could not install them" >&2; \
	fi

# Likewise the tests of the HTML report, and IPT2NP_REQUIRE_BROWSER=1.
.PHONY: browser-tools
browser-tools:
	@for browser in chromium chromium-browser google-chrome; do \
	  command -v "$$browser" >/dev/null && found=1; \
	done; \
	if [ -z "$${found:-}" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing chromium for the tests of the HTML report"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
	    </dev/null >/dev/null || echo "warning: could not install it" >&2; \
	fi

$(HAVE_TEST): pyproject.toml $(HAVE_VENV)
	@echo "Installing ipt2np and the test tools into $(VENV)" >&2
	@$(PIP) install -q -e '.[test]' >&2
	@touch $(HAVE_RUNTIME) $(HAVE_TEST)

$(HAVE_RUNTIME): pyproject.toml $(HAVE_VENV)
	@echo "Installing ipt2np into $(VENV)" >&2
	@$(PIP) install -q -e . >&2
	@touch $(HAVE_RUNTIME)

# Debian and Ubuntu ship venv's ensurepip in a package of its own.
$(HAVE_VENV):
	@python=; \
	for candidate in $(or $(PYTHON),$(PYTHONS)); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python="$$candidate"; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "error: none of these is Python 3.11 or newer: $(or $(PYTHON),$(PYTHONS))" >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	make_venv() { rm -rf $(VENV); "$$python" -m venv $(VENV) >/dev/null 2>&1; }; \
	if ! make_venv; then \
	  case "$$python" in python3.*) package="$$python-venv" ;; *) package=python3-venv ;; esac; \
	  run=; \
	  if [ "$$(id -u)" != 0 ]; then \
	    if [ -t 0 ]; then run=sudo; else run='sudo -n'; fi; \
	  fi; \
	  if command -v apt-get >/dev/null && { [ -z "$$run" ] || command -v sudo >/dev/null; }; then \
	    echo "Installing $$package, which Python's venv needs" >&2; \
	    { $$run apt-get update -qq && \
	      $$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$$package"; } >/dev/null || true; \
	  fi; \
	  if ! make_venv; then \
	    rm -rf $(VENV); \
	    echo "error: $$python cannot make a virtual environment. On Debian or Ubuntu, as root:" >&2; \
	    echo "    apt-get update && apt-get install -y $$package" >&2; \
	    echo "then run make again." >&2; \
	    exit 1; \
	  fi; \
	fi
	@touch $@
