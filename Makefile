# The verbs of the project; each works by itself on a fresh machine. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
CODE := operator lab tests examples docs
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)
# With the lab: build first, then run in namespaces of its own, where nothing reaches out and nothing stays.
PRIVATE := $(if $(filter 1 true True TRUE yes Yes YES,$(USE_EXISTING_CLUSTER)),,$(BIN)/python -m lab exec --no-cluster --)
# The same with the images of all languages.
PRIVATE_ALL := $(subst --no-cluster,--no-cluster --all-examples,$(PRIVATE))

.PHONY: help demo demo-xds demo-local test test-full test-xds test-unit lint fmt lab bench bench-dataplane bench-xds docs crd lock clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## watch one pod's load spread over all: cluster, operator, client and servers, from scratch
	@$(PRIVATE) $(CURDIR)/$(BIN)/python -m examples.demo

demo-xds: $(STAMP) ## DNS and a look-aside balancer side by side: one word moves a client there and back, every number measured
	@$(PRIVATE) $(CURDIR)/$(BIN)/python -m examples.xds

demo-local: $(STAMP) ## the same idea without a cluster: three servers, one client and a DNS server of our own (needs Go)
	@$(BIN)/python -m examples.local $(ARGS)

test: $(STAMP) ## what every change must pass: pure logic, then a real cluster (20 minutes)
	@$(if $(ARGS),,for module in examples/go tests/bench/xds/streams; do (cd $$module && go vet ./... && go test ./...) || exit 1; done)
	@$(PRIVATE_ALL) $(CURDIR)/$(BIN)/pytest -m "not full and not xds" $(ARGS)

test-full: $(STAMP) ## the same with every fault and every language (an hour)
	@$(if $(ARGS),,for module in examples/go tests/bench/xds/streams; do (cd $$module && go vet ./... && go test ./...) || exit 1; done)
	@$(PRIVATE_ALL) $(CURDIR)/$(BIN)/pytest -m "not xds" $(ARGS)

test-xds: $(STAMP) ## what clients of four languages do on xDS, whatever happens to servers and to the balancer
	@$(BIN)/python -m tests.bench.xds.generator
	@$(PRIVATE_ALL) $(CURDIR)/$(BIN)/pytest -m xds $(ARGS)

test-unit: $(STAMP) ## only the tests that need no cluster, in seconds
	@$(BIN)/pytest -m "not cluster and not slow and not full and not xds" $(ARGS)

lint: $(STAMP) ## style, types, import contracts, YAML, Go, generated files
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/ruff format --check --quiet $(CODE)
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/yamllint --strict crds manifests examples
	@unformatted=$$(gofmt -l lab examples tests); test -z "$$unformatted" || { echo "run gofmt on: $$unformatted"; exit 1; }
	@$(BIN)/python docs/make.py --check
	@$(BIN)/python -m grpcbalance crd | diff -u crds/grpcbalancedservices.yaml - || { echo "run: make crd"; exit 1; }

fmt: $(STAMP) ## format the code, mend what can be mended
	@$(BIN)/ruff check --fix --quiet $(CODE) || true
	@$(BIN)/ruff format --quiet $(CODE)
	@gofmt -w lab examples tests

lab: $(STAMP) ## a shell with kubectl in a fresh cluster (ARGS=--all-examples: with the examples of all languages)
	@$(BIN)/python -m lab shell $(ARGS)

bench: $(STAMP) ## scale benchmark: 5,000 services, 10,000 workloads, 100,000 endpoints
	@$(PRIVATE) $(CURDIR)/$(BIN)/python -m tests.bench.scale $(ARGS)

bench-dataplane: $(STAMP) ## what clients of four languages really do: tables, plots (18 minutes)
	@$(PRIVATE_ALL) $(CURDIR)/$(BIN)/python -m tests.bench.dataplane $(ARGS)

bench-xds: $(STAMP) ## the look-aside balancer: fan-out to 3,000 streams, new pods on real clients (25 minutes)
	@$(BIN)/python -m tests.bench.xds.generator
	@$(PRIVATE_ALL) $(CURDIR)/$(BIN)/python -m tests.bench.xds $(ARGS)

docs: $(STAMP) ## fill the pages with code of the examples, tested tables, published figures
	@$(BIN)/python docs/make.py

crd: $(STAMP) ## write crds/ anew from the API types
	@$(BIN)/python -m grpcbalance crd > build.crd.tmp && mv build.crd.tmp crds/grpcbalancedservices.yaml

lock: $(STAMP) ## write the lock files anew
	@PATH="$(CURDIR)/$(BIN):$$PATH" requirements/lock.sh

clean: ## remove what was made in the checkout (the lab's cache stays)
	@rm -rf build dist $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(STAMP): requirements/dev.txt
	@echo "Installing development dependencies into $(VENV) (about a minute, once) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes --requirement requirements/dev.txt
	@touch $@
