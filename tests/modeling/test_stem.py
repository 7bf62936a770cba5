"""The convolutions before the patches, against the same written out, and what they leave as it was."""

import pytest
import torch
from torch.nn import functional

from pedclip import PedCLIPVisionConfig, PedCLIPVisionModel

SMALL = dict(
    image_size=32,
    patch_size=8,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    mobe_layers=[1],
    num_experts=3,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PedCLIPVisionModel(PedCLIPVisionConfig(**SMALL, stem_channels=[4, 6])).double()


def written_out(embeddings, pixels: torch.Tensor) -> torch.Tensor:
    """Convolve, standardize each channel over batch and places, cut at zero; twice. Then 2 x 2 cells a patch."""
    for convolution in (embeddings.stem[0], embeddings.stem[3]):
        maps = functional.conv2d(pixels, convolution.weight, stride=2, padding=1)
        mean, variance = maps.mean((0, 2, 3), keepdim=True), maps.var((0, 2, 3), keepdim=True, correction=0)
        pixels = ((maps - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
    patches = [
        (pixels[:, None, :, y : y + 2, x : x + 2] * embeddings.patch_embeddings.weight).sum((2, 3, 4))
        for y in range(0, 8, 2)
        for x in range(0, 8, 2)
    ]
    return torch.stack(patches, 1) + embeddings.patch_embeddings.bias


def test_tokens_are_those_of_the_convolutions_written_out(model):
    pixels = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    embeddings = model.train().embeddings

    tokens = embeddings(pixels)

    expected = written_out(embeddings, pixels) + embeddings.position_embeddings[:, 1:]
    assert tokens.shape == (5, 17, 16)
    torch.testing.assert_close(tokens[:, 1:], expected, rtol=1e-10, atol=1e-12)


def test_running_statistics_are_saved_and_used(model, tmp_path):
    pixels = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    model.train()(pixels)
    model.eval().save_pretrained(tmp_path)

    again = PedCLIPVisionModel.from_pretrained(tmp_path).eval()

    assert again.config.stem_channels == [4, 6]
    assert not torch.equal(again.embeddings.stem[1].running_var, torch.ones(4, dtype=again.dtype))
    torch.testing.assert_close(again(pixels).pooler_output, model(pixels).pooler_output)
    alone = again(pixels[:1]).pooler_output  # what an image gives does not depend on its batch
    torch.testing.assert_close(alone, again(pixels).pooler_output[:1])


def test_a_plain_vit_has_nothing_of_it():
    model = PedCLIPVisionModel(PedCLIPVisionConfig(**SMALL))

    assert not [name for name in model.state_dict() if "stem" in name]
    assert model.embeddings.patch_embeddings.weight.shape == (16, 3, 8, 8)


@pytest.mark.parametrize("channels", [[4, 4, 4, 4], [0], [-2]])
def test_a_stem_that_does_not_fit_is_refused_with_the_rule(channels):
    with pytest.raises(Exception, match=r"stem_channels is .* patch_size is 8; each width must be at least 1"):
        PedCLIPVisionConfig(**SMALL, stem_channels=channels)
