"""Slices that go through the tower some at a time: the same gradients as at once, and nothing of a chunk is kept."""

import weakref

import pytest
import torch

LONGEST = 5


@pytest.fixture
def pixels():
    return torch.randn(2, LONGEST, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask():
    return torch.arange(LONGEST) < torch.tensor([[LONGEST], [3]])


@pytest.mark.parametrize("slices_at_once", [1, 2, 3])
@pytest.mark.parametrize("frozen", ["nothing", "embeddings", "tower"])
def test_gradients_and_hidden_states_are_those_of_all_slices_at_once(make_model, pixels, mask, frozen, slices_at_once):
    model = make_model(volume_pooling="attention").double()
    still = {"nothing": None, "embeddings": model.vision_model.embeddings, "tower": model.vision_model}[frozen]
    if still is not None:
        still.requires_grad_(False)

    def learned(at_once: int) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
        model.zero_grad()
        out = model.get_image_features(
            pixels.double(), slice_mask=mask, slices_at_once=at_once, output_hidden_states=True
        )
        (out.pooler_output.square().sum() + sum(layer.mean() for layer in out.hidden_states)).backward()
        return out.hidden_states, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    states, gradients = learned(slices_at_once)
    states_at_once, gradients_at_once = learned(pixels.shape[0] * pixels.shape[1])

    torch.testing.assert_close(states, states_at_once, rtol=1e-10, atol=1e-10)
    assert gradients.keys() == gradients_at_once.keys()
    assert any(name.startswith("vision_model") for name in gradients) == (frozen != "tower")
    torch.testing.assert_close(gradients, gradients_at_once, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["hidden_states", "attentions"])
def test_a_chunks_results_are_let_go_once_they_are_copied(make_model, pixels, name):
    """What stays of every chunk lies between the tower's large tensors, and a process of 512 slices grows by it."""
    model = make_model(volume_pooling="attention").requires_grad_(False)
    model.set_attn_implementation("eager")
    of_chunks: list[weakref.ref] = []
    alive: list[int] = []

    def look(tower, args, output):
        alive.append(sum(one() is not None for one in of_chunks))
        of_chunks.append(weakref.ref(output[name][-1]))

    model.vision_model.register_forward_hook(look)
    model.get_image_features(pixels, slices_at_once=2, output_hidden_states=True, output_attentions=True)

    assert len(alive) == 2 * LONGEST // 2  # two studies, two slices a chunk
    assert max(alive) <= 1  # the chunk before may wait for its name to be given to this one
