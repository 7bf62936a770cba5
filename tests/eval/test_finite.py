"""A model that gives NaN is refused wherever what it gives enters an evaluation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pedclip.configuration.data import DataConfig
from pedclip.eval.detector import mean_gate
from pedclip.eval.finite import require_finite
from pedclip.eval.gate import gate_accuracy
from pedclip.eval.retrieval import matched, ranks_of_first_hit
from pedclip.eval.tasks import run_task
from pedclip.processing.data.folder import read_folder


def test_finite_values_come_back_and_infinite_ones_only_where_they_may():
    values = np.array([[0.0, 1.0], [2.0, -np.inf]])
    assert require_finite(values, "x", infinite=True) is values
    with pytest.raises(ValueError, match=r"x: 1 of 2 rows are not finite .*earlier checkpoint"):
        require_finite(values, "x")
    with pytest.raises(ValueError, match="x: 1 of 1 rows"):
        require_finite([[np.nan]], "x", infinite=True)


@pytest.mark.parametrize("part", ["visual_projection", "text_model", "gate"])
def test_a_model_with_nan_in_its_weights_answers_no_task(tested, collection, part):
    weights = next(one for name, one in tested.model.named_parameters() if part in name)
    with torch.no_grad():
        weights[:] = np.nan
    for task in ("body-part", "gate") if part != "text_model" else ("body-part",):
        with pytest.raises(ValueError, match=r"\d+ of \d+ rows are not finite"):
            run_task(task, tested, collection, resamples=0)


def test_nan_similarities_are_no_perfect_retrieval():
    same = np.eye(3, dtype=bool)
    with pytest.raises(ValueError, match="similarities of queries and items: 3 of 3 rows"):
        ranks_of_first_hit(np.full((3, 3), np.nan), same)
    with pytest.raises(ValueError, match="similarities"):
        matched([0, 1, 2], ["a", "b", "c"], np.full((3, 3), np.nan))
    assert ranks_of_first_hit(np.where(same, -np.inf, 1.0), same).tolist() == [2, 2, 2]


def test_nan_gates_name_no_part(tested, collection):
    config = DataConfig(path=str(collection))
    images = tested.embed_images(read_folder(config, split="test", need_caption=False)[:8], config)
    broken = replace(images, gates=[np.full_like(layer, np.nan) for layer in images.gates])
    for ask in (mean_gate, lambda images: gate_accuracy(images, tested.body_parts)):
        with pytest.raises(ValueError, match=r"gate weights: .* not finite"):
            ask(broken)
