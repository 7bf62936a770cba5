"""Relevance maps equal their definitions, depend on the weights, and leave the model as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from pedclip.configuration.data import DataConfig
from pedclip.eval import pointing_game as game
from pedclip.eval import relevance as maps
from pedclip.eval.pointing_game import centre, hit, pointing_game, rank_correlation, targets, touched, weights_matter
from pedclip.eval.relevance import METHODS, relevance, rollout
from pedclip.processing.data.folder import read_folder
from pedclip.processing.phantom.folder import FolderSettings, write_folder

TEXT, AGAINST = "chest x-ray, pneumonia", "normal chest"


@pytest.fixture
def exact(make_model, processor):
    """A tiny model of 2 x 2 patches in 64 bits, and its processor."""
    processor.image_processor.size = {"height": 16, "width": 16}
    vision = {"image_size": 16}
    return make_model(dtype=torch.float64, vision=vision, text={"vocab_size": len(processor.tokenizer)}), processor


@pytest.fixture
def film():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8))


def inputs_of(model, processor, film, against=None):
    pixel_values = processor.image_processor(film, return_tensors="pt").pixel_values.double()
    return pixel_values, maps.direction(model, processor, [TEXT, *([against] if against else [])])


def similarity(model, pixel_values, text_embeds) -> float:
    with torch.no_grad():
        return float(maps.similarity_of(maps.image_features(model, pixel_values), text_embeds))


def test_rollout_of_one_layer_worked_by_hand():
    attention = torch.tensor([[[[0.5, 0.5], [0.25, 0.75]], [[1.0, 0.0], [0.5, 0.5]]]])  # two heads
    gradient = torch.tensor([[[[1.0, -1.0], [2.0, 4.0]], [[3.0, 9.0], [-2.0, 1.0]]]])
    # positive parts: [[.5, 0], [.5, 3]] and [[3, 0], [0, .5]]; their mean, and the identity
    torch.testing.assert_close(rollout([attention], [gradient]), torch.tensor([[[2.75, 0.0], [0.25, 2.75]]]))


def test_rollout_of_several_layers_equals_the_slow_way():
    random = np.random.default_rng(0)
    attentions, gradients = random.normal(size=(2, 3, 1, 4, 5, 5))
    expected = np.eye(5)
    for attention, gradient in zip(attentions, gradients, strict=True):
        mean = np.zeros((5, 5))
        for head in range(4):
            mean += np.maximum(gradient[0, head] * attention[0, head], 0) / 4
        expected = expected + mean @ expected
    found = rollout(*(list(torch.from_numpy(one)) for one in (attentions, gradients)))
    np.testing.assert_allclose(found[0], expected)


def test_the_attention_map_equals_finite_differences_of_every_weight(exact, film, monkeypatch):
    """Each attention weight is moved a little by itself; from what that changes, the formula is followed."""
    model, processor = exact
    pixel_values, text_embeds = inputs_of(model, processor, film, AGAINST)
    moved: dict = {"layer": None}
    from pedclip.modeling_pedclip import modeling_pedclip as modeling

    layers = [layer.attention for layer in model.vision_model.layers]
    seen: dict[int, torch.Tensor] = {}

    def written_out(module, query, key, value, mask, scaling, dropout=0.0, **_):
        weights = (query @ key.transpose(2, 3) * scaling).softmax(-1)
        place = layers.index(module) if module in layers else None
        if place is not None:
            seen[place] = weights.clone()
            if moved["layer"] == place:
                weights = weights.clone()
                weights[(0, *moved["where"])] += moved["by"]
        return (weights @ value).transpose(1, 2).contiguous(), weights

    monkeypatch.setattr(modeling, "eager_attention_forward", written_out)
    step, rolled = 1e-5, torch.eye(5, dtype=torch.float64)

    def moved_similarity(layer: int, where: tuple[int, ...], by: float) -> float:
        moved.update(layer=layer, where=where, by=by)
        with maps.eager_attention(model.vision_model):
            out = maps.image_features(model, pixel_values, output_attentions=True)  # all rows of the last layer
        return float(maps.similarity_of(out, text_embeds))

    with torch.no_grad():
        moved_similarity(0, (0, 0, 0), 0.0)
        for layer, attention in enumerate([seen[0], seen[1]]):
            gradient = torch.zeros_like(attention[0])
            for where in np.ndindex(*gradient.shape):
                up, down = (moved_similarity(layer, where, sign * step) for sign in (1, -1))
                gradient[where] = (up - down) / (2 * step)
            rolled = rolled + (gradient * attention[0]).clamp(min=0).mean(0) @ rolled
    monkeypatch.undo()
    found = relevance(model, processor, film, TEXT, "attention", against=AGAINST)
    assert found.map.shape == (2, 2)
    np.testing.assert_allclose(found.map.ravel(), rolled[0, 1:], rtol=1e-5, atol=1e-9)


def test_input_times_gradient_is_what_a_little_more_of_each_patch_changes(exact, film):
    model, processor = exact
    pixel_values, text_embeds = inputs_of(model, processor, film)
    found = relevance(model, processor, film, TEXT, "input-x-gradient")
    above_black = pixel_values + 1  # black is -1 after the normalisation
    for i, j in np.ndindex(2, 2):
        patch = torch.zeros_like(pixel_values)
        patch[..., 8 * i : 8 * i + 8, 8 * j : 8 * j + 8] = 1e-5
        up, down = (similarity(model, pixel_values + sign * patch * above_black, text_embeds) for sign in (1, -1))
        assert found.map[i, j] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-9)


def test_integrated_gradients_add_up_to_the_difference_from_a_black_film(exact, film):
    model, processor = exact
    pixel_values, text_embeds = inputs_of(model, processor, film)
    black = torch.full_like(pixel_values, -1)
    expected = similarity(model, pixel_values, text_embeds) - similarity(model, black, text_embeds)
    found = relevance(model, processor, film, TEXT, "integrated-gradients")
    assert abs(expected) > 1e-3
    assert found.map.sum() == pytest.approx(expected, rel=1e-4)


def test_the_similarity_and_the_experts_are_the_models_own(tested, film):
    found = relevance(tested.model, tested.processor, film, TEXT, against=AGAINST)
    inputs = tested.processor(images=film, text=[TEXT, AGAINST], return_tensors="pt", padding=True)
    with torch.no_grad():
        output = tested.model(**inputs)
        cosines = output.logits_per_image[0] / tested.model.logit_scale.exp()
    assert found.similarity == pytest.approx(float(cosines[0] - cosines[1]), abs=1e-6)
    shares = output.router_logits[-1].softmax(-1)[0]
    assert dict(found.experts) == pytest.approx(
        dict(zip(tested.model.config.body_parts, shares.tolist(), strict=True))
    )
    assert [share for _, share in found.experts] == sorted(shares.tolist(), reverse=True)
    assert found.pixels.shape == (32, 32) and found.pixels.dtype == np.uint8


@pytest.mark.parametrize("method", list(METHODS))
def test_another_text_and_other_weights_give_another_map(tested, make_model, film, method):
    """The check of Adebayo et al. 2018, on one film."""

    def found(model, text):
        return relevance(model, tested.processor, film, text, method).map

    first = found(tested.model, TEXT)
    np.testing.assert_array_equal(first, found(tested.model, TEXT))
    parts = tested.model.config.body_parts
    other = make_model(seed=1, body_parts=parts, text={"vocab_size": len(tested.processor.tokenizer)})
    assert first.shape == (4, 4)
    assert abs(rank_correlation(first, found(other, TEXT))) < 0.9
    assert not np.allclose(first, found(tested.model, "left wrist"))


@pytest.mark.parametrize("method", list(METHODS))
def test_the_model_is_as_it_was_afterwards(tested, film, method):
    model = tested.model
    model.train()
    model.vision_model.eval()
    model.requires_grad_(False)
    before = [module.training for module in model.modules()]
    attention = model.vision_model.config._attn_implementation
    with torch.inference_mode():
        relevance(model, tested.processor, film, TEXT, method)
    assert [module.training for module in model.modules()] == before
    assert model.vision_model.config._attn_implementation == attention != "eager"
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())


def test_attention_is_restored_after_an_error_too(tested):
    tower = tested.model.vision_model
    before = tower.config._attn_implementation
    with pytest.raises(RuntimeError), maps.eager_attention(tower):
        assert tower.config._attn_implementation == "eager"
        raise RuntimeError
    assert tower.config._attn_implementation == before


def test_a_tower_without_experts_has_a_map_and_no_names(make_model, processor, film):
    model = make_model(vision={"mobe_layers": []}, text={"vocab_size": len(processor.tokenizer)})
    assert relevance(model, processor, film, TEXT).experts == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"method": "lime"}, "method is 'lime'; choose one of attention"),
        ({"text": " "}, "a text is empty"),
        ({"against": ""}, "a text is empty"),
    ],
)
def test_a_wrong_question_is_named(tested, film, asked, said):
    with pytest.raises(ValueError, match=said):
        relevance(tested.model, tested.processor, film, **{"text": TEXT, **asked})


# ---- the pointing game


def test_hits_worked_by_hand():
    mask = np.zeros((12, 16), bool)
    mask[3, 4] = True  # patch (0, 1) of 3 x 4
    np.testing.assert_array_equal(touched(mask, 4, 0), [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    hits = touched(mask, 4, 1)
    np.testing.assert_array_equal(hits, [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
    pointing = np.zeros((3, 4))
    pointing[1, 2] = 1
    assert hit(pointing, hits) == 1
    pointing[2, 3] = 1  # a tie of a hit and a miss
    assert hit(pointing, hits) == 0.5
    assert centre(hits) == 1  # three rows: the middle one; four columns: the second and the third, both hits
    assert centre(~hits) == 0


def test_rank_correlation_is_spearmans():
    random = np.random.default_rng(0)
    one, other = random.integers(0, 4, (2, 5, 5))
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert rank_correlation(one, np.ones((5, 5))) == 0


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films") / "phantom"
    write_folder(folder, FolderSettings(patients=14, seed=1, side=64, masks=True), workers=1)
    return read_folder(DataConfig(path=str(folder)))


@pytest.fixture
def data():
    return DataConfig(path=".")


def test_every_finding_with_an_outline_and_a_question_is_a_target(tested, films, data):
    found = targets(tested, films, data)
    expected = [
        (one.file_name, name) for one in films for name in one.findings if one.row["masks"].get(f"finding-{name}")
    ]
    assert {(one.sample.file_name, one.finding) for one in found} <= set(expected)
    assert len(found) > len(expected) / 2
    for target in found:
        assert target.hits.shape == (4, 4) and 0 < target.hits.mean() <= 1
        assert target.sample.body_part.replace("_", " ") in target.text and "no finding" in target.against


def test_a_method_that_knows_the_outline_always_hits_and_its_opposite_never(tested, films, data, monkeypatch):
    inside = [replace(one, hits=one.hits) for one in targets(tested, films, data) if not one.hits.all()]
    by_film = {(str(one.sample.path), one.text): one.hits for one in inside}
    monkeypatch.setattr(game, "targets", lambda *_: inside)
    for sign, rate in ((1, 1.0), (-1, 0.0)):

        def oracle(model, processor, image, text, method, *, against, sign=sign):
            return maps.Relevance(sign * by_film[image, text].astype(float), np.zeros((1, 1)), [], 0.0, method, text)

        monkeypatch.setattr(game, "relevance", oracle)
        result = pointing_game(tested, films, data, resamples=50)
        assert result["value"] == rate
        assert result["chance"] == pytest.approx(np.mean([one.hits.mean() for one in inside]))
        assert (result["off_centre"] or result)["value"] == rate
        assert result["exact"]["value"] <= rate and result["exact"]["chance"] < result["chance"]
        assert result["n"] == len(inside) == sum(row["n"] for row in result["classes"])


def test_pointing_without_knowledge_is_chance(tested, films, data):
    result = pointing_game(tested, films, data, "attention", resamples=50)
    assert abs(result["random_map"]["value"] - result["chance"]) < 0.3
    assert 0 <= result["value"] <= 1
    assert result["above_chance"]["value"] == pytest.approx(result["value"] - result["chance"])


def test_shuffled_weights_give_other_maps(tested, films, data):
    before = {name: value.clone() for name, value in tested.model.state_dict().items()}
    assert abs(weights_matter(tested, films[:8], data, "attention")) < 0.8
    assert all(torch.equal(value, before[name]) for name, value in tested.model.state_dict().items())


def test_films_without_outlines_are_refused(tested, films, data):
    bare = [replace(one, row={}) for one in films]
    with pytest.raises(ValueError, match="--masks"):
        pointing_game(tested, bare, data)
