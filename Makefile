# What a person types here. `make` is what CI runs; `make run` and `make test` set everything up themselves.
.DEFAULT_GOAL := all
SHELL := /bin/sh
BIN := .venv/bin

.PHONY: all check test apart seeds fidelity fuzz chaos soak overload simulate run fix types lint house format-check requirements models bench clients docs help clean

all: check test apart fidelity  ## format check, lint, types, house rules, tests, recorded traffic: what CI runs

run: .venv/ready  ## start the gateway on 127.0.0.1:4000 with the embedded model
	@$(BIN)/trunkline serve

test: .venv/ready  ## the test suite
	@$(BIN)/pytest

check: format-check lint types house  ## everything but the tests

format-check: .venv/ready
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make fix'"; exit 1; }

lint: .venv/ready
	@$(BIN)/ruff check --quiet .

types: .venv/ready
	@$(BIN)/basedpyright --pythonpath $(BIN)/python --warnings

house: .venv/ready  ## the house rules, and the longest files and functions (to look at, not limits)
	@$(BIN)/pytest tests/test_house.py
	@$(BIN)/python scripts/house.py

fix: .venv/ready  ## mend what a machine can mend
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

clients: .venv/ready  ## the official SDKs against the gateway with the embedded model
	@$(BIN)/pytest -m local_model

apart: .venv/ready  ## the tests of a copy without interfaces/: nothing may need that room
	@sh scripts/apart

seeds: .venv/ready  ## what the interfaces' documents state, item by item: which test claims it, and how that ended
	@PYTHONPATH=tests/interfaces $(BIN)/python tests/interfaces/seeds.py

fidelity: .venv/ready  ## every dialect on recorded traffic, by family (RECORDINGS=folder: another one)
	@RECORDINGS=$(RECORDINGS) PYTHONPATH=tests $(BIN)/python tests/fidelity/report.py

fuzz: .venv/ready  ## recorded traffic bent out of shape (INPUTS=1000000 SEED=1)
	@RECORDINGS=$(RECORDINGS) PYTHONPATH=tests $(BIN)/python tests/fidelity/fuzz.py $(INPUTS) --seed $(or $(SEED),1)

chaos: .venv/ready  ## every fault × every way to ask × library and gateway; streams cut at every byte
	@PYTHONPATH=tests/chaos $(BIN)/python tests/chaos/matrix.py
	@PYTHONPATH=tests/chaos $(BIN)/python tests/chaos/cuts.py

soak: .venv/ready  ## many calls with random faults: memory stays flat and nothing is held (CALLS=1000000 SEED=1)
	@PYTHONPATH=tests/chaos $(BIN)/python tests/chaos/soak.py $(or $(CALLS),1000000) --seed $(or $(SEED),1)

overload: .venv/ready  ## eight processes on one Redis server: limits exact, kill -9, the server gone (SECONDS=60)
	@$(BIN)/python tests/state/overload.py --seconds $(or $(SECONDS),60)
	@$(BIN)/python tests/state/outage.py --seconds $(or $(SECONDS),60)

simulate: .venv/ready  ## what hedging, strategies, affinity and learned limits come to, on a clock that is turned
	@$(BIN)/python tests/policies/simulate.py

models: .venv/ready  ## regenerate the facts about models from their sources in the package registry
	@$(BIN)/python scripts/models.py

bench: .venv/ready  ## measure ourselves beside the peers (minutes; bench/README.md)
	@sh bench/run --output bench/RESULTS.md

requirements:  ## resolve pyproject.toml anew into requirements.txt
	@sh scripts/setup requirements

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

clean:  ## forget the environment
	@rm -rf .venv .tools .bench

.venv/ready: requirements.txt pyproject.toml scripts/setup
	@sh scripts/setup
