"""Texts that are embedded once: the same numbers as without a cache, and none of other weights."""

import pytest
import torch

from pedclip.processing.text_cache_pedclip import PedCLIPTextCache

TEXTS = ["chest x-ray", "hand x-ray", "a radiograph of the wrist, acute fracture", "normal"]


@pytest.fixture
def model(make_model, processor):
    return make_model(text={"vocab_size": len(processor.tokenizer)})


@pytest.fixture
def cache(model, processor):
    return PedCLIPTextCache(model, processor, batch_size=2)


@pytest.fixture
def computed(model, monkeypatch):
    """How many texts went through the tower, call by call."""
    calls, own = [], model.get_text_features

    def counted(input_ids, **inputs):
        calls.append(len(input_ids))
        return own(input_ids=input_ids, **inputs)

    monkeypatch.setattr(model, "get_text_features", counted)
    return calls


@torch.no_grad()
def plain(model, processor, texts):
    encoded = processor(text=list(texts), return_tensors="pt", padding=True, truncation=True)
    return torch.nn.functional.normalize(model.get_text_features(**encoded).pooler_output, dim=-1)


def test_values_are_the_models_own_and_each_text_is_computed_once(cache, model, processor, computed):
    torch.testing.assert_close(cache(TEXTS), plain(model, processor, TEXTS), rtol=0, atol=1e-6)
    computed.clear()
    again = cache([TEXTS[2], "hip", TEXTS[2], TEXTS[0]])
    assert computed == [1]
    torch.testing.assert_close(
        again, plain(model, processor, [TEXTS[2], "hip", TEXTS[2], TEXTS[0]]), rtol=0, atol=1e-6
    )
    assert not again.requires_grad


def test_a_step_of_the_optimizer_makes_it_compute_anew(cache, model, processor, computed):
    cache(TEXTS)
    weight = model.text_model.get_input_embeddings().weight
    optimizer = torch.optim.SGD([weight], lr=1.0)
    weight.grad = torch.randn_like(weight)
    optimizer.step()
    computed.clear()
    torch.testing.assert_close(cache(TEXTS), plain(model, processor, TEXTS), rtol=0, atol=1e-6)
    assert sum(computed) == 2 * len(TEXTS)  # the cache's and plain's


def test_another_length_is_another_text(cache, processor, computed):
    whole, cut = cache(TEXTS[2:3]), cache(TEXTS[2:3], max_length=4)
    assert computed == [1, 1]
    assert (whole - cut).abs().max() > 1e-3


def test_a_stream_of_new_texts_does_not_fill_the_memory(model, processor):
    cache = PedCLIPTextCache(model, processor, size=3)
    for texts in (TEXTS[:2], TEXTS[2:], TEXTS):
        torch.testing.assert_close(cache(texts), plain(model, processor, texts), rtol=0, atol=1e-6)
        assert len(cache._of_weights[1]) <= 3
