# Everything a newcomer needs: `make demo` shows a migration in the lab, `make test` runs every check.
VENV := .venv
BIN := $(VENV)/bin

# The tests start Python some hundred times: without compiled files each would compile what it imports once more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup setup-lab setup-dev demo test test-all bare check unit unit-all promises lab lab-all rehearse torture fuzz bench lock clean

setup:  ## a control host: the virtual environment with the project, and nothing else; quick when nothing is to do
	@scripts/bootstrap.sh control

setup-lab:  ## that, and the packages that the lab's hosts run
	@scripts/bootstrap.sh lab

setup-dev:  ## that, and the tools of the tests
	@scripts/bootstrap.sh dev

demo: setup-lab  ## boot the lab, make a dry run, migrate, be refused, be rolled back, take the lab down
	@scripts/demo.sh

test: setup-dev check unit promises lab  ## lint, types, unit tests, the promises broken on purpose, each mechanism in the lab

test-all: setup-dev check unit-all promises lab-all  ## everything: all cuts, the whole fault matrix, etcd, a short torture

bare:  ## both in a bare Debian, made for it and taken away: COMMAND='make check' for another command, KEEP=FOLDER keeps it
	scripts/bare.sh $(if $(KEEP),-k '$(KEEP)') $(if $(COMMAND),'$(COMMAND)')

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy lib cookbooks tests

unit: setup-dev  ## no root, no network; three side by side: some of them wait
	$(BIN)/pytest -n 3 -m "not extended" tests/unit tests/fuzz

unit-all: setup-dev
	$(BIN)/pytest -n 3 tests/unit tests/fuzz

promises: setup-dev  ## each safeguard taken away in a copy: some test must turn red
	$(BIN)/pytest -n 4 tests/promises

lab: setup-dev  ## three labs side by side: half of the time they wait
	$(BIN)/pytest -n 3 --dist worksteal -m "not extended" tests/lab

lab-all: setup-dev
	$(BIN)/pytest -n 3 --dist worksteal tests/lab

rehearse: setup-lab  ## the scenarios on two labs side by side: some seven minutes
	$(BIN)/ferryman rehearse scenarios --labs 2 --html rehearsals.html

torture: setup-dev  ## 800 kills with -9 in two labs, 300 among visitors; every cut on fakes and etcd; hours
	PYTHONPATH=lib:tests $(BIN)/python -m lab.torture --kills 500 --labs 2
	PYTHONPATH=lib:tests $(BIN)/python -m lab.torture --kills 300 --labs 2 --visitors
	FERRYMAN_EVERY_CUT=1 $(BIN)/pytest --timeout 3600 tests/lab/etcd tests/lab/test_races.py
	$(BIN)/pytest -n 2 -m slow tests/unit

bench: setup-dev  ## figures, not judgements
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.startup
	$(BIN)/python -m tests.bench.journal
	$(BIN)/python -m tests.bench.facts --install
	$(BIN)/python -m tests.bench.probe
	PYTHONPATH=lib:tests $(BIN)/python -m tests.bench.tape
	PYTHONPATH=lib:tests $(BIN)/python -m tests.bench.cluster
	PYTHONPATH=lib:tests $(BIN)/python -m tests.bench.anything_answers --healthy 100
	PYTHONPATH=lib:tests $(BIN)/python -m tests.bench.flips --pairs 2

fuzz: setup-dev  ## two million inputs for everything that reads outside words: an hour; OPTIONS='--inputs N --target NAME'
	PYTHONPATH=lib:tests $(BIN)/python -m fuzz $(OPTIONS)

lock: setup-dev  ## the locks with their hashes, and the list of components in wheels; OPTIONS=--upgrade for new versions
	scripts/lock.sh $(OPTIONS)

clean:
	rm -rf $(VENV) .ferryman .mypy_cache .ruff_cache .pytest_cache
