"""Two gloo processes with half of the batch each train the model that one process with all of it trains."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("train_in_processes.py")


@pytest.fixture(scope="module")
def script() -> dict:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict]:
    """What each of two processes ended with."""
    folder = tmp_path_factory.mktemp("processes")
    processes = []
    for rank in range(2):
        command = [sys.executable, str(SCRIPT), str(rank), "2", str(folder)]
        with open(folder / f"rank{rank}.log", "w", encoding="utf-8") as log:
            processes.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
    try:
        ended = [process.wait(timeout=180) for process in processes]
    finally:
        for process in processes:
            process.kill()  # one that waits for a partner that failed
    logs = "\n".join((folder / f"rank{rank}.log").read_text(encoding="utf-8")[-2000:] for rank in range(2))
    assert ended == [0, 0], logs
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def one(script) -> dict:
    """The same steps in this process, with the whole batch."""
    return {name: script["train"](0, 1, *run) for name, run in script["RUNS"].items()}


@pytest.mark.parametrize("optimizer, tolerance", [("SGD", 1e-5), ("AdamW", 1e-9)])
def test_two_processes_end_with_the_weights_of_one_after_20_steps(script, one, two, optimizer, tolerance):
    expected = one[optimizer]["weights"]
    start = script["tiny_model"](torch.float64).state_dict()

    moved = {name: (weight - start[name]).abs().max().item() for name, weight in expected.items()}
    assert min(moved[name] for name in moved if "gate.proj" in name or "experts.up_proj" in name) > 100 * tolerance
    for result in two:
        for name, weight in result[optimizer]["weights"].items():
            torch.testing.assert_close(
                weight, expected[name], rtol=0, atol=tolerance, msg=lambda m, name=name: f"{name}: {m}"
            )


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_the_losses_of_two_processes_average_to_those_of_one(one, two, optimizer):
    losses = one[optimizer]["losses"]

    for result in two:
        torch.testing.assert_close(result[optimizer]["losses"], losses, rtol=1e-4, atol=1e-5)
    assert losses[3, -1] == 0  # a step without a label in either process
    assert losses[-1, 1] < losses[0, 1]


def test_gathering_leaves_the_gradient_that_it_is_given_as_it_is(two):
    asked = torch.arange(12.0).view(4, 3) * (1 + 2)  # both processes ask, with weight 1 and 2

    for rank, result in enumerate(two):
        for gradient in result["gathered sum"]:
            torch.testing.assert_close(gradient, asked[2 * rank : 2 * rank + 2])
