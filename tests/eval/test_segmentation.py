"""Masks as the model sees them, Dice as defined, features before and after the experts, decoders that learn."""

import copy
import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import f1_score
from torch import nn

from pedclip.configuration.data import DataConfig
from pedclip.eval.bench.asked import Asked
from pedclip.eval.bench.before_after import before_against_after, before_less_after
from pedclip.eval.bench.decoders import DECODERS, WIDTHS, mask_loss, scaled_widths
from pedclip.eval.bench.masks import (
    CLASSES,
    LEVELS,
    constant_mask,
    dice,
    dice_of_pairs,
    draw_masks,
    fit_mask,
    frontal_with_masks,
    image_dice,
)
from pedclip.eval.bench.segmentation import (
    Learner,
    PatchFeatures,
    Wrists,
    read_wrists,
    segmentation,
)
from pedclip.eval.embeddings import EmbeddedImages
from pedclip.processing.data.sample import Mask, Sample

QUICK = {"epochs": 2, "width": 0.03, "batch_size": 6, "learning_rate": 1e-2}
LONGER = {"epochs": 30, "width": 0.06, "batch_size": 6, "learning_rate": 1e-2}
SHAPE = (48, 64)  # H, W of a file: stretched, it is told from a square


def bones_of(number: int) -> dict[str, np.ndarray]:
    """Two bars at random heights, which overlap in a third of the images; every fifth image has the first alone."""
    random = np.random.default_rng(number)
    masks = {name: np.zeros(SHAPE, bool) for name in ("Radius", "Ulna")}
    for name, columns in (("Radius", slice(4, 34)), ("Ulna", slice(30, 60))):
        top = int(random.integers(2, 28))
        masks[name][top : top + 16, columns] = True
    return masks if number % 5 else {"Radius": masks["Radius"]}


@pytest.fixture(scope="module")
def wrists(tmp_path_factory):
    """{split: samples}: bright bars on dark films, some lateral, some right, some without masks."""
    folder = tmp_path_factory.mktemp("wrists")
    splits = {}
    for place, (split, count) in enumerate({"train": 24, "validation": 6, "test": 12}.items()):
        samples = []
        for number in range(100 * place, 100 * place + count + 2):
            masks = bones_of(number)
            film = np.random.default_rng(number).integers(0, 30, SHAPE)
            film = film + sum(90 * mask for mask in masks.values())
            path = folder / f"{number}.png"
            Image.fromarray(film.astype(np.uint8)).save(path)
            lateral, unmasked = number == 100 * place + count, number == 100 * place + count + 1
            samples.append(
                Sample(
                    path=path,
                    file_name=path.name,
                    body_part="wrist",
                    patient_id=f"p{number // 2}",
                    split=split,
                    row={"projection": "2" if lateral else "1", "laterality": "R" if number % 2 else "L"},
                    masks=() if unmasked else tuple(Mask(name, partial(np.copy, one)) for name, one in masks.items()),
                )
            )
        splits[split] = samples
    return splits


@pytest.fixture
def asked(tested, wrists):
    embedded = {
        split: EmbeddedImages(samples, np.zeros((len(samples), 2)), [], [-100] * len(samples))
        for split, samples in wrists.items()
    }
    return Asked(tested, embedded, DataConfig(path="."), resamples=100)


def test_dice_of_a_case_worked_by_hand():
    predicted = np.zeros((2, 2, 2, 2), bool)
    truth = np.zeros((2, 2, 2, 2), bool)
    predicted[0, 0] = [[1, 1], [0, 0]]
    truth[0, 0] = [[0, 1], [1, 1]]  # 2 * 1 / (2 + 3)
    truth[0, 1] = [[1, 0], [0, 0]]  # nothing predicted: 0
    predicted[1, 0] = [[1, 1], [1, 1]]  # absent: predicted or not, it does not count
    predicted[1, 1] = truth[1, 1] = [[0, 1], [0, 1]]
    np.testing.assert_allclose(dice(predicted, truth), [[0.4, 0], [np.nan, 1]])
    np.testing.assert_allclose(image_dice(dice(predicted, truth)), [0.2, 1])


def test_dice_is_f1_over_the_pixels():
    random = np.random.default_rng(0)
    predicted, truth = random.random((2, 5, 3, 8, 8)) > np.array([0.3, 0.6])[:, None, None, None, None]
    expected = [
        [f1_score(t.ravel(), p.ravel()) for p, t in zip(*pair, strict=True)]
        for pair in zip(predicted, truth, strict=True)
    ]
    np.testing.assert_allclose(dice(predicted, truth), expected)


def test_a_mask_is_fitted_as_the_image_processor_fits_the_film(processor):
    wide, tall = np.zeros((16, 32), bool), np.zeros((64, 32), bool)
    wide[2:9, 5:20] = True
    tall[6:40, 4:20] = True
    for mask in (wide, tall):
        film = Image.fromarray(mask.astype(np.uint8) * 255)
        for keep in (False, True):
            settings = {"do_rescale": False, "do_normalize": False, "resample": Image.Resampling.BOX}
            seen = processor.image_processor(images=film, keep_aspect_ratio=keep, **settings).pixel_values[0][0]
            np.testing.assert_array_equal(fit_mask(mask, 32, keep), np.asarray(seen) > 127)


def test_a_pixel_is_bone_where_half_of_it_is():
    mask = np.array([[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 0]], bool)
    np.testing.assert_array_equal(fit_mask(mask, 2, False), [[True, False], [True, False]])


def test_right_hands_are_mirrored_and_overlapping_bones_stay_both(wrists, processor):
    samples = wrists["train"][:4]
    plain, mirrored = (draw_masks(samples, 32, processor.image_processor, mirror) for mirror in (False, True))
    for place, sample in enumerate(samples):
        expected = plain[place, :, :, ::-1] if sample.row["laterality"] == "R" else plain[place]
        np.testing.assert_array_equal(mirrored[place], expected)
    drawn = draw_masks(wrists["train"][:-1], 32, processor.image_processor, False)
    assert (drawn[:, CLASSES.index("Radius")] & drawn[:, CLASSES.index("Ulna")]).any()


@pytest.mark.parametrize("mirror_right", [False, True])
def test_films_and_masks_stay_together(asked, mirror_right):
    wrists = read_wrists(asked, "train", 32, mirror_right)
    for pixels, truth in zip(wrists.pixel_values[:, 0].numpy(), wrists.truth, strict=True):
        bone = truth.any(0)
        assert np.quantile(pixels[bone], 0.1) > np.quantile(pixels[~bone], 0.9)


def test_only_frontal_images_with_masks_are_used(wrists):
    assert frontal_with_masks(wrists["test"], "test") == list(range(12))
    with pytest.raises(ValueError, match="none of the 2 images of split test is frontal"):
        frontal_with_masks(wrists["test"][-2:], "test")


def test_masks_that_vanish_are_an_error(wrists, processor):
    dot = np.zeros(SHAPE, bool)
    dot[3, 3] = True
    tiny = replace(wrists["test"][0], masks=(Mask("Radius", lambda: dot),))
    with pytest.raises(ValueError, match="vanish at 8 x 8"):
        draw_masks([tiny], 8, processor.image_processor, False)


def test_the_constant_mask_is_the_best_of_its_levels():
    truth = np.random.default_rng(1).random((6, 3, 5, 5)) < np.linspace(0.1, 0.9, 25).reshape(5, 5)
    truth[:4, 1] = False  # four images lack the class, all of them the third
    truth[:, 2] = False
    found = constant_mask(truth)
    for place, rows in ((0, slice(None)), (1, slice(4, None))):
        of_class = truth[rows, place]

        def quality(mask, of_class=of_class):
            return np.mean([f1_score(one.ravel(), mask.ravel(), zero_division=0) for one in of_class])

        assert quality(found[place]) == pytest.approx(max(quality(of_class.mean(0) > level) for level in LEVELS))
    assert not found[2].any()


@pytest.mark.parametrize("mobe_layers", [[1], [0]])
def test_before_and_after_differ_by_what_comes_from_the_last_experts_on(make_model, mobe_layers):
    tower = make_model(dtype=torch.float64, vision={"mobe_layers": mobe_layers}).vision_model
    pixel_values = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    before, after = (PatchFeatures(tower, name, 1)(pixel_values)[:, 0] for name in ("before", "after"))

    hidden = tower.embeddings(pixel_values)
    for index, layer in enumerate(tower.layers):
        hidden = hidden + layer.attention(layer.layernorm_before(hidden))[0]
        if index == mobe_layers[0]:
            expected_before = tower.layernorm(hidden)
        mixed = layer.mlp(layer.layernorm_after(hidden))
        hidden = hidden + (mixed[0] if isinstance(mixed, tuple) else mixed)
    for found, expected in ((before, expected_before), (after, tower.layernorm(hidden))):
        by_place = expected[:, 1:].view(2, 4, 4, -1).permute(0, 3, 1, 2)  # patch 4 * row + column
        torch.testing.assert_close(found, by_place)
    assert not torch.allclose(before, after)


def test_earlier_levels_are_quarters_of_the_way(make_model):
    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "mobe_layers": [11]}
    tower = make_model(vision={**small, "num_hidden_layers": 12, "expert_intermediate_size": 8}).vision_model
    features = PatchFeatures(tower, "after", 4)
    assert features.earlier == [3, 6, 9]  # UNETR's
    pixel_values = torch.randn(1, 3, 32, 32)
    maps = features(pixel_values)
    hidden_states = tower(pixel_values, output_hidden_states=True).hidden_states
    sixth = tower.layernorm(hidden_states[6])[:, 1:].view(1, 4, 4, -1).permute(0, 3, 1, 2)
    torch.testing.assert_close(maps[:, 1], sixth)


def test_a_tower_without_experts_has_nothing_before_them(make_model):
    tower = make_model(vision={"mobe_layers": []}).vision_model
    with pytest.raises(ValueError, match="no layer with experts"):
        PatchFeatures(tower, "before", 1)


@pytest.mark.parametrize("name", list(DECODERS))
def test_a_decoder_is_sixteen_times_as_fine_and_reads_what_it_says(name):
    torch.manual_seed(0)
    decoder = DECODERS[name](6, 5, scaled_widths(0.02))
    maps = torch.randn(2, 4, 6, 3, 3, requires_grad=True)
    pixel_values = torch.randn(2, 3, 48, 48, requires_grad=True)
    logits = decoder(maps, pixel_values)
    assert logits.shape == (2, 5, 48, 48)
    of_maps, of_pixels = torch.autograd.grad(logits.square().sum(), (maps, pixel_values), allow_unused=True)
    read = (of_maps.abs().sum((0, 2, 3, 4)) > 0).tolist()
    assert read == ([False] * 3 + [True] if name == "setr" else [True] * 4)
    assert (of_pixels is not None) == (name == "unet")


def test_mgca_widths_stand_on_a_vit_b():
    assert scaled_widths(1.0) == list(WIDTHS) == [512, 256, 128, 64]
    with pytest.raises(ValueError, match="width is 0"):
        scaled_widths(0)


def test_the_loss_equals_the_slow_way():
    torch.manual_seed(0)
    logits, truth = torch.randn(3, 2, 4, 4).double(), (torch.rand(3, 2, 4, 4) > 0.5).double()
    truth[:, 1] = 0
    shares = logits.sigmoid()
    entropy = -(truth * shares.log() + (1 - truth) * (1 - shares).log()).mean()
    by_class = []
    for c in range(2):
        overlap = sum(
            float(shares[n, c, i, j] * truth[n, c, i, j]) for n in range(3) for i in range(4) for j in range(4)
        )
        both = float(shares[:, c].sum() + truth[:, c].sum())
        by_class.append(1 - (2 * overlap + 1) / (both + 1))
    assert float(mask_loss(logits, truth)) == pytest.approx(float(entropy) + sum(by_class) / 2)


@pytest.mark.parametrize("decoder", list(DECODERS))
def test_a_decoder_learns_more_than_the_best_constant_mask(asked, decoder):
    answer = segmentation(asked, decoder, "before", **LONGER)
    result = answer.result
    assert result["low"] is None and result["no_interval"] == "6 patients" and result["value"] <= 1
    assert result["above_chance"]["value"] > 0.05
    assert result["images_used"] == {"train": 24, "validation": 6, "test": 12}
    assert result["n"] == 12 and result["patients"] == 6 == len(set(answer.patients))
    assert result["value"] == pytest.approx(np.mean(answer.predictions["dice"]))
    assert result["chance"] == pytest.approx(np.mean(answer.predictions["constant_mask"]))
    assert {len(column) for column in answer.predictions.values()} == {12}
    by_name = {row["class"]: row for row in result["classes"]}
    assert len(by_name) == 17 and by_name["Radius"]["n"] == 12 and by_name["Ulna"]["n"] == 9
    assert by_name["Os hamatum"] == {"class": "Os hamatum", "n_train": 0, "n": 0}
    by_epoch = result["settings"]["validation_dice_by_epoch"]
    assert by_epoch[result["settings"]["epoch_taken"] - 1] == max(by_epoch)


def test_shuffled_masks_teach_nothing(asked):
    random = np.random.default_rng(0)
    splits = {}
    for name, images in asked.splits.items():
        samples = list(images.samples)
        order = random.permutation(len(samples))
        mixed = [
            replace(one, masks=samples[o].masks, row=samples[o].row) for one, o in zip(samples, order, strict=True)
        ]
        splits[name] = replace(images, samples=mixed)
    control = replace(asked, splits=splits, shuffled=True)
    answer = segmentation(control, "unet", **LONGER)
    assert answer.result["above_chance"]["value"] < 0.05
    assert "every way to deal them out" in answer.result["chance_is"]
    assert answer.result["chance"] == pytest.approx(np.mean(answer.predictions["permuted_masks"]))
    assert abs(answer.result["value"] - answer.result["chance"]) < 0.08  # the constant mask lies higher than that
    by_name = {row["class"]: row for row in answer.result["classes"]}
    assert 0 < by_name["Radius"]["chance"] < 1


def test_chance_of_a_control_is_the_mean_over_every_way_to_deal_its_masks_out():
    random = np.random.default_rng(0)
    predicted, truth = random.random((2, 4, 3, 5, 5)) < 0.4
    truth[1, 2] = False  # an image without a class
    pairs = dice_of_pairs(predicted, truth)
    for one, two in itertools.product(range(4), range(4)):
        np.testing.assert_allclose(pairs[one, two], dice(predicted[one : one + 1], truth[two : two + 1])[0])
    every = [image_dice(dice(predicted, truth[list(order)])).mean() for order in itertools.permutations(range(4))]
    assert np.nanmean(pairs, axis=2).mean() == pytest.approx(np.mean(every))


@pytest.mark.parametrize("tuned", [False, True])
def test_the_same_seed_gives_the_same_answer_and_the_model_is_left_alone(asked, tuned):
    few = QUICK
    before = copy.deepcopy(asked.tested.model.state_dict())
    torch.manual_seed(5)
    first = segmentation(asked, "setr", tuned=tuned, **few)
    torch.manual_seed(6)
    second = segmentation(asked, "setr", tuned=tuned, **few)
    assert first.predictions == second.predictions
    assert first.result | {"seconds": 0} == second.result | {"seconds": 0}
    assert first.predictions != segmentation(replace(asked, seed=1), "setr", tuned=tuned, **few).predictions
    for name, value in asked.tested.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in asked.tested.model.parameters())


def test_a_tuned_tower_learns(asked, monkeypatch):
    towers = []
    real = nn.Module.load_state_dict
    monkeypatch.setattr(
        nn.ModuleList,
        "load_state_dict",
        lambda self, *given, **named: towers.append(self) or real(self, *given, **named),
    )
    segmentation(asked, "setr", tuned=True, tower_learning_rate=1e-3, **QUICK)
    learned, own = towers[0][1], asked.tested.model.vision_model
    changed = [name for name, value in learned.state_dict().items() if not torch.equal(value, own.state_dict()[name])]
    assert any("experts" in name for name in changed) and any("attention" in name for name in changed)


def test_before_and_after_are_compared_on_the_same_patients(asked):
    before, after, difference = before_against_after(asked, "setr", **QUICK)
    assert difference.value == pytest.approx(before.result["value"] - after.result["value"])
    assert before.result["settings"]["features"] == "before" and after.result["settings"]["features"] == "after"
    answer = before_less_after(asked, "setr", **QUICK)
    assert answer.result["value"] == difference.value and answer.result["chance"] == 0
    assert answer.result["before"]["value"] == before.result["value"]
    assert float(answer.metric(np.ones((1, 12)))[0]) == pytest.approx(difference.value)
    apart = np.subtract(answer.predictions["dice before"], answer.predictions["dice after"])
    assert apart.mean() == pytest.approx(difference.value)


def test_another_side_is_scored_at_that_side(asked):
    result = segmentation(asked, "setr", side=24, **{**QUICK, "epochs": 1}).result
    assert result["settings"]["side"] == 24


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"decoder": "deeplab"}, "decoder is 'deeplab'; choose setr or unet"),
        ({"features": "between"}, "features is 'between'; choose before or after"),
        ({"epochs": 0}, "epochs is 0"),
        ({"width": -1}, "width is -1"),
    ],
)
def test_a_wrong_setting_is_named(asked, settings, said):
    with pytest.raises(ValueError, match=said):
        segmentation(asked, **settings)


def test_the_level_of_a_class_is_the_one_with_the_best_dice():
    truth = np.zeros((2, len(CLASSES), 4, 4), bool)
    truth[:, 0, :2] = True  # two rows of four; the class after it is absent everywhere
    shares = np.zeros(truth.shape, np.float32)
    shares[:, 0, 0], shares[:, 0, 1], shares[:, 0, 2] = 0.9, 0.32, 0.12

    class Known(Learner):
        def __init__(self):
            pass

        def shares(self, wrists):
            return shares

    learner = Known()
    wrists = Wrists([0, 1], ["a", "b"], torch.zeros(2, 3, 4, 4), truth)

    levels = learner.levels_on(wrists)

    assert 0.12 < levels[0] < 0.32 and (levels[1:] == 0.5).all()
    np.testing.assert_array_equal(learner.predict(wrists, levels), truth)
    assert learner.predict(wrists).sum() == 8  # at a half, the second row is lost
