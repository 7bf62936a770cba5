"""The meter counts what torch's own counter sees."""

import time

import pytest
import torch
from mobe_reference import plain_forward
from torch.utils.flop_counter import FlopCounterMode

from pedclip.meter import Meter, image_flops, peak_flops, slices_in, step_flops, text_flops
from pedclip.modeling_pedclip.mobe_pedclip import PedCLIPExperts


def addmm_in_place(own, one, other, out_shape=None, **kwargs) -> int:
    """Which torch's counter does not know: (M, K) x (K, N)."""
    return 2 * one[0] * one[1] * other[1]


def counted(function) -> float:
    known = {torch.ops.aten.addmm_: addmm_in_place}
    with FlopCounterMode(display=False, custom_mapping=known) as counter, torch.no_grad():
        function()
    return counter.get_total_flops()


@pytest.mark.parametrize("mobe_layers", [[1], [0], [0, 1], []])
@pytest.mark.parametrize("stem", [None, [6, 8]])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_image_towers_forward_is_counted_as_torch_counts_it(make_model, mobe_layers, stem, attention):
    model = make_model(vision={"mobe_layers": mobe_layers, "stem_channels": stem}).vision_model
    model.set_attn_implementation("eager")  # the counter does not see into a CPU's fused attention
    pixels = torch.randn(3, 3, 32, 32)
    # the biases' share of the mixture, (B, E) x (E, D), is a product too, and not an MLP's
    short = 3 * image_flops(model.config)
    found = counted(lambda: model(pixels, img_token_only=True))
    assert short == pytest.approx(found, rel=0.01) and short <= found
    assert 3 * image_flops(model.config, img_token_only=False) == pytest.approx(
        counted(lambda: model(pixels)), rel=0.01
    )


def test_the_papers_formula_is_every_expert_on_every_token(make_model, monkeypatch):
    model = make_model().vision_model
    model.set_attn_implementation("eager")
    monkeypatch.setattr(PedCLIPExperts, "forward", plain_forward)
    pixels = torch.randn(2, 3, 32, 32)
    formula = 2 * image_flops(model.config, every_token=True)
    assert formula == pytest.approx(counted(lambda: model(pixels)), rel=1e-6)
    assert formula > 2 * image_flops(model.config)


def test_texts_count_without_their_padding(make_model, make_batch):
    model, batch = make_model(), make_batch()
    model.set_attn_implementation("eager")
    full = {"input_ids": batch["input_ids"][:2], "attention_mask": torch.ones(2, 6, dtype=torch.long)}
    found = counted(lambda: model.text_model(**full))
    assert text_flops(model.config.text_config, [6, 6]) == pytest.approx(found, rel=1e-6)
    assert text_flops(model.config.text_config, [6, 3]) < found


def test_a_step_is_three_forwards(make_model):
    config = make_model().config
    lengths = [4, 5, 6]
    forward = 3 * image_flops(config.vision_config) + text_flops(config.text_config, lengths)
    assert step_flops(config, lengths) == pytest.approx(3 * forward, rel=0.02)
    assert step_flops(config, lengths, every_token=True) > step_flops(config, lengths)


def test_a_reading_is_of_the_time_since_the_last_one(make_model):
    meter = Meter(make_model().config, processes=2, peak=1e9)
    meter.step([4, 5])
    time.sleep(0.05)
    first = meter.read()
    assert 0 < first["pairs_per_second"] <= 4 / 0.05
    assert first["tflops_of_the_formula"] > first["tflops"] > 0
    assert first["mfu"] == pytest.approx(first["tflops"] * 1e12 / 2 / 1e9)
    assert meter.read()["pairs_per_second"] == 0
    assert peak_flops(torch.device("cpu")) is None


def test_each_slice_of_a_volume_counts_as_an_image(make_model):
    config = make_model().config
    batch = {"slice_mask": torch.tensor([[1, 1, 1], [1, 0, 0]], dtype=torch.bool)}
    assert slices_in(batch) == 4 and slices_in({}) is None
    more = step_flops(config, [5, 5], images=4) - step_flops(config, [5, 5])
    assert more == pytest.approx(3 * 2 * image_flops(config.vision_config))
