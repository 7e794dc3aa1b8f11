# make demo: see it work.  make test: check it.  Both do their own set-up.
.PHONY: help setup demo test lint clean
.DEFAULT_GOAL := help
ARGS ?=

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

setup:  ## prepare .venv (a second run only checks)
	@bash scripts/setup/setup.sh

demo: setup  ## play a recorded flight through the live nodes; writes out/demo
	@bash scripts/setup/run.sh uav-perception demo --out out/demo $(ARGS)

test: setup  ## run every test
	@bash scripts/setup/run.sh python -m pytest $(ARGS)

lint: setup  ## style
	@bash scripts/setup/run.sh ruff check .
	@bash scripts/setup/run.sh ruff format --check .

clean:  ## remove what set-up and runs made
	rm -rf .venv build install log out runs
