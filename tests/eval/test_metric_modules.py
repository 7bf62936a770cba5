"""The modules for `evaluate` load from their folders offline, and give what the statistics give."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

from pedclip.eval.bench.masks import dice
from pedclip.eval.metrics.answers import auc_answer, dice_answer, ece_answer, mae_answer, recall_answer

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "eval" / "metrics"
CASES = {
    "auc_ci": {"predictions": [0.1, 0.4, 0.35, 0.8], "references": [0, 0, 1, 1], "patients": ["a", "b", "c", "c"]},
    "mae_ci": {"predictions": [1.0, 2.0, 4.0], "references": [1.0, 1.0, 1.0]},
    "dice_ci": {"predictions": [[[0, 1], [1, 1]], [[0, 2]]], "references": [[[0, 1], [1, 0]], [[0, 2]]]},
    "recall_at_k_ci": {"predictions": [[0.1, 0.9], [0.3, 0.2]], "references": [1, 1], "k": 1},
    "ece": {"predictions": [[0.1, 0.9], [0.8, 0.2]], "references": [1, 1]},
}
PROBE = """
import json, sys
import evaluate
for name, inputs in json.loads(sys.argv[2]).items():
    print(json.dumps(evaluate.load(f"{sys.argv[1]}/{name}").compute(**inputs)))
try:
    evaluate.load(f"{sys.argv[1]}/auc_ci").compute(predictions=[0.1, 0.2, 0.3], references=[0, 1])
except ValueError as error:
    print(json.dumps(str(error)))
"""


def run(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    offline = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}
    environment = {**os.environ, **offline, "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path
    )


def test_every_module_loads_in_a_fresh_offline_process_with_an_empty_cache(tmp_path):
    assert {path.parent.name for path in MODULES.glob("*/*.py")} == set(CASES)
    done = run(tmp_path, "-c", PROBE, str(MODULES), json.dumps(CASES), PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    *found, mismatch = map(json.loads, done.stdout.splitlines())
    values = dict(zip(CASES, (one["value"] for one in found), strict=True))
    assert values == pytest.approx(
        {"auc_ci": 0.75, "mae_ci": 4 / 3, "dice_ci": 0.9, "recall_at_k_ci": 0.5, "ece": 0.45}
    )
    assert all({"value", "low", "high", "n", "patients"} <= one.keys() for one in found)
    assert (found[0]["n"], found[0]["patients"]) == (4, 3)
    assert mismatch == "Mismatch in the number of predictions (3) and references (2)"


@pytest.mark.slow  # a second process that imports evaluate
def test_without_pedclip_the_error_names_it(tmp_path):
    """-S -I hides the checkout; what evaluate needs comes from where it is installed."""
    site = str(Path(np.__file__).resolve().parents[1])
    hide = f"import sys; sys.path.append({site!r}); sys.modules['pedclip'] = None; import evaluate; "
    done = run(tmp_path, "-I", "-S", "-c", f"{hide}evaluate.load({str(MODULES / 'mae_ci')!r})")
    assert done.returncode != 0
    assert "install the following dependencies['pedclip'] using 'pip install pedclip'" in done.stderr, done.stderr


def test_the_modules_lie_beside_the_installed_package_too():
    import pedclip.eval.metrics

    assert (Path(pedclip.eval.metrics.__file__).parent / "auc_ci" / "auc_ci.py").is_file()
    assert pedclip.__version__


def test_answers_equal_scikit_learn_and_the_benchmarks_dice():
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 50), random.normal(size=50)
    assert auc_answer(scores, labels, resamples=20)["value"] == pytest.approx(roc_auc_score(labels, scores))
    assert mae_answer(scores, labels, resamples=20)["value"] == pytest.approx(mean_absolute_error(labels, scores))
    said, truth = random.integers(0, 3, (2, 6, 8, 8))
    truth[0] = 0
    stacks = [np.stack([maps == 1, maps == 2], 1) for maps in (said[1:], truth[1:])]
    found = dice_answer(said, truth, [str(n // 2) for n in range(6)], resamples=20)
    assert found["value"] == pytest.approx(dice(*stacks).mean())
    assert (found["n"], found["left_out"], found["patients"]) == (5, 1, 3)


def test_recall_counts_a_tie_against_the_query():
    scores = [[0.5, 0.5, 0.1], [0.9, 0.5, 0.1]]
    assert recall_answer(scores, [0, 0], resamples=0)["value"] == 0.5
    assert recall_answer(scores, [0, 0], k=2, resamples=0)["value"] == 1.0


@pytest.mark.parametrize(
    ("answer", "inputs", "says"),
    [
        (auc_answer, ([0.1, np.nan], [0, 1]), "1 of 2 predictions are not finite"),
        (auc_answer, ([0.1, 0.2], [1, 1]), r"references are \[1.0\]; an AUC needs both 0 and 1"),
        (auc_answer, ([0.1, 0.2], [0, 1], ["a"]), "2 predictions, 2 references, 1 patients"),
        (mae_answer, ([0.1, 0.2], [0]), "2 predictions, 1 references"),
        (dice_answer, ([[[1]]], [[[1, 0]]]), r"image 0: prediction \(1, 1\) and reference \(1, 2\)"),
        (dice_answer, ([[[1]]], [[[0]]]), "none of the 1 references has a class"),
        (recall_answer, ([[0.1, 0.2]], [2]), "references are places 0 to 1"),
        (ece_answer, ([1.5], [1]), "not between 0 and 1"),
        (mae_answer, ([], []), r"predictions are \(0,\)"),
    ],
)
def test_wrong_input_is_one_clear_error(answer, inputs, says):
    with pytest.raises(ValueError, match=says):
        answer(*inputs)
