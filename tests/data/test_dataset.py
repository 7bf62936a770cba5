"""Samples become the model's inputs, exactly as the processor alone would make them unless augmentation is on."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pedclip.configuration.configuration_pedclip import BODY_PARTS
from pedclip.configuration.data import AugmentConfig, DataConfig
from pedclip.processing.data.augment import _move, augment
from pedclip.processing.data.batches import PairBatches, Pick
from pedclip.processing.data.body_parts import UnknownBodyPartError
from pedclip.processing.data.dataset import PairCollator, PairDataset
from pedclip.processing.data.folder import read_folder
from pedclip.processing.data.sample import Sample

STRONG = AugmentConfig(
    rotation_degrees=10, scale=0.2, aspect=0.1, shift=0.1, brightness=0.1, contrast=0.2, gamma=0.3, noise=0.05,
    blur_chance=0.5, low_resolution_chance=0.5, erase_chance=0.5, flip_chance=0.5,
)  # fmt: skip


@pytest.fixture
def samples(folder):
    parts = ["chest", "hand", "whole_body", "chest", "foot_ankle", "hand"]
    path = folder([{"file_name": f"{n}.png", "body_part": part, "split": "train"} for n, part in enumerate(parts)])
    Image.fromarray(np.random.default_rng(9).integers(0, 256, (20, 33, 3), dtype=np.uint8)).save(path / "3.png")
    return read_folder(DataConfig(path=str(path)))


@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
@pytest.mark.parametrize("cache_gib", [0.0, 1.0, 3e-6])
def test_pixels_equal_the_image_processors_own_however_much_is_kept(samples, processor, keep_aspect_ratio, cache_gib):
    processor.image_processor.keep_aspect_ratio = keep_aspect_ratio
    processor.image_processor.image_mean = [0.48, 0.45, 0.4]
    processor.image_processor.image_std = [0.22, 0.23, 0.27]
    config = DataConfig(path="x", cache_gib=cache_gib)
    dataset = PairDataset(samples, processor, config, BODY_PARTS)
    batch = PairCollator(processor, config)([dataset[index] for index in range(len(dataset))])
    images = [Image.open(sample.path) for sample in samples]
    assert torch.equal(batch["pixel_values"], processor.image_processor(images, return_tensors="pt").pixel_values)


@pytest.mark.parametrize("means", [[0.5, 0.5, 0.5], [0.48, 0.45, 0.4]])
@pytest.mark.parametrize("kinds", [["grey"], ["grey", "deep"], ["deep"], ["grey", "colour", "deep"]])
def test_every_mixture_of_kinds_gives_the_image_processors_own_pixels(folder, processor, kinds, means):
    random = np.random.default_rng(3)
    path = folder([{"file_name": f"{kind}.png", "body_part": "hand", "split": "train"} for kind in kinds])
    arrays = {
        "grey": random.integers(0, 256, (50, 40), dtype=np.uint8),
        "colour": random.integers(0, 256, (30, 40, 3), dtype=np.uint8),
        "deep": random.integers(0, 4096, (44, 40), dtype=np.uint16),
    }
    for kind in kinds:
        Image.fromarray(arrays[kind]).save(path / f"{kind}.png")
    processor.image_processor.image_mean = means
    config = DataConfig(path=str(path))
    dataset = PairDataset(read_folder(config), processor, config, BODY_PARTS)
    batch = PairCollator(processor, config)(dataset.__getitems__(range(len(kinds))))
    alone = processor.image_processor([arrays[kind] for kind in kinds], return_tensors="pt").pixel_values
    assert torch.equal(batch["pixel_values"], alone)


def test_a_batch_holds_the_models_inputs_and_unlabelled_images_get_minus_100(samples, processor):
    config = DataConfig(path="x")
    dataset = PairDataset(samples, processor, config, BODY_PARTS)
    batch = PairCollator(processor, config)([dataset[index] for index in range(len(dataset))])
    assert set(batch) == {"pixel_values", "input_ids", "attention_mask", "token_type_ids", "body_part"}
    assert batch["pixel_values"].shape == (6, 3, 32, 32)
    parts = ["chest", "hand", None, "chest", "foot", "hand"]
    assert batch["body_part"].tolist() == [-100 if part is None else BODY_PARTS.index(part) for part in parts]
    assert torch.equal(batch["input_ids"][0], batch["input_ids"][3])


def test_grey_images_are_kept_as_one_channel_of_bytes(samples, processor):
    dataset = PairDataset(samples, processor, DataConfig(path="x"), BODY_PARTS)
    assert dataset[0].pixels.shape == (1, 32, 32) and dataset[0].pixels.dtype == torch.uint8
    assert dataset[3].pixels.shape == (3, 32, 32)


def test_all_unknown_body_parts_are_named_before_the_training_starts(samples, processor):
    odd = [Sample(samples[0].path, "a", part, "p", "train") for part in ("chestnut", "handle")]
    with pytest.raises(UnknownBodyPartError, match="'chestnut', 'handle'"):
        PairDataset(odd, processor, DataConfig(path="x"), BODY_PARTS)


def test_an_images_variation_depends_on_its_place_alone(samples, processor):
    config = DataConfig(path="x", augment=STRONG)
    dataset = PairDataset(samples, processor, config, BODY_PARTS)
    collate = PairCollator(processor, config, seed=5)
    picks = [Pick(index, epoch=2, batch=1, position=10 + index) for index in (0, 1, 4)]
    together = collate([dataset[pick] for pick in picks])["pixel_values"]
    alone = torch.cat([collate([dataset[pick]])["pixel_values"] for pick in picks])
    assert torch.equal(together, alone)
    later = collate([dataset[pick._replace(epoch=3)] for pick in picks])["pixel_values"]
    assert not torch.equal(together, later)
    plain = collate([dataset[pick.sample_index] for pick in picks])["pixel_values"]
    assert not torch.equal(together, plain)


def test_augmentation_off_changes_nothing():
    pixels = torch.rand(2, 1, 8, 8)
    assert augment(pixels, AugmentConfig(), []) is pixels


@pytest.mark.parametrize("setting", list(vars(STRONG)))
def test_each_augmentation_changes_images_keeps_their_range_and_leaves_the_input_alone(setting):
    value = 1.0 if setting.endswith("_chance") else getattr(STRONG, setting)
    pixels = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    before = pixels.clone()
    varied = augment(pixels, AugmentConfig(**{setting: value}), [torch.Generator().manual_seed(n) for n in range(3)])
    assert torch.equal(pixels, before)
    assert not torch.equal(varied, pixels)
    assert varied.shape == pixels.shape and varied.min() >= 0 and varied.max() <= 1


def test_a_flip_is_the_mirror_image():
    pixels = torch.rand(1, 1, 8, 8)
    flipped = augment(pixels, AugmentConfig(flip_chance=1), [torch.Generator().manual_seed(0)])
    torch.testing.assert_close(flipped, pixels.flip(-1))


def test_a_shift_alone_moves_whole_pixels_as_the_resampling_does():
    pixels = torch.rand(40, 1, 12, 10, generator=torch.Generator().manual_seed(0))
    drawn = torch.rand(40, 5, generator=torch.Generator().manual_seed(1)) * 2 - 1
    drawn[:, 3] = (drawn[:, 3] * 0.5 * 10).round() / (0.5 * 10)  # whole pixels of the width, and of the height
    drawn[:, 4] = (drawn[:, 4] * 0.5 * 12).round() / (0.5 * 12)
    flip = torch.arange(40) % 3 == 0
    whole = _move(pixels, AugmentConfig(shift=0.5, flip_chance=0.5), drawn, flip=flip)
    resampled = _move(pixels, AugmentConfig(shift=0.5, flip_chance=0.5, scale=1e-12), drawn, flip=flip)
    torch.testing.assert_close(whole, resampled, rtol=0, atol=1e-5)
    assert len(drawn[:, 3:].round(decimals=3).unique(dim=0)) > 20


def test_an_epoch_takes_every_sample_once_and_another_order_each_time(samples):
    batches = PairBatches(samples, batch_size=2, seed=0)
    first = [pick for batch in batches for pick in batch]
    assert sorted(pick.sample_index for pick in first) == list(range(6))
    assert [pick.position for pick in first] == list(range(6))
    assert [pick.batch for pick in first] == [0, 0, 1, 1, 2, 2]
    assert first == [pick for batch in batches for pick in batch]
    batches.set_epoch(1)
    assert [pick.sample_index for batch in batches for pick in batch] != [pick.sample_index for pick in first]


def test_the_last_smaller_batch_is_left_out_and_too_large_a_batch_is_refused(samples):
    assert [len(batch) for batch in PairBatches(samples, batch_size=4, seed=0)] == [4]
    with pytest.raises(ValueError, match="batch_size is 7 and there are 6 samples"):
        PairBatches(samples, batch_size=7, seed=0)


def test_balance_draws_rare_body_parts_as_often_as_common_ones():
    many = [Sample(Path(str(n)), str(n), "chest" if n < 90 else "hand", "p", "train") for n in range(100)]
    batches = PairBatches(many, batch_size=100, seed=0, balance=1.0)
    drawn = Counter()
    for epoch in range(20):
        batches.set_epoch(epoch)
        drawn.update(many[pick.sample_index].body_part for batch in batches for pick in batch)
    assert abs(drawn["hand"] / 2000 - 0.5) < 0.02
