"""Volumes among the samples: read from a folder, padded into batches, equal to what the processor makes of them."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from pedclip import PedCLIPImageProcessor, PedCLIPProcessor
from pedclip.configuration.data import WINDOWS, AugmentConfig, CaptionsConfig, DataConfig, VolumesConfig
from pedclip.configuration.training import load_recipe
from pedclip.processing import volume_windows_pedclip
from pedclip.processing.data.batches import Pick
from pedclip.processing.data.dataset import PairCollator, PairDataset
from pedclip.processing.data.folder import read_folder
from pedclip.processing.data.samples import image_bytes, read_samples
from pedclip.processing.data.volumes import volume_of_sample
from pedclip.processing.phantom.study import Clinic
from pedclip.processing.phantom.volume_folder import VolumeSettings, write_slices, write_volumes

SETTINGS = VolumeSettings(
    patients=8,
    pixels=24,
    slices=6,
    twins=True,
    clinic=Clinic(parts={"chest": 1.0}, exams=(1.0,), findings=(0.2, 0.8)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Phantom volumes, two of them with fewer slices than the others."""
    out = tmp_path_factory.mktemp("phantom") / "volumes"
    assert write_volumes(out, SETTINGS) >= 8
    for path in sorted((out / "volumes").iterdir())[:2]:
        with Image.open(path) as image:
            pages = [image.copy() for page in range(4) if image.seek(page) is None]
        pages[0].save(path, save_all=True, append_images=pages[1:])
    return out


@pytest.fixture
def config(folder) -> DataConfig:
    volumes = VolumesConfig(spacing="slice_spacing_mm")
    return DataConfig(path=str(folder), volumes=volumes, captions=CaptionsConfig(source="text"))


@pytest.fixture(scope="module")
def processor():
    from transformers import AutoTokenizer

    from pedclip.card import checkout_file

    tokenizer = AutoTokenizer.from_pretrained(checkout_file("processing/phantom/tokenizer/tokenizer.json").parent)
    return PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 16, "width": 16}), tokenizer)


def batch_of(config, processor, picks) -> dict[str, torch.Tensor]:
    dataset = PairDataset(read_folder(config), processor, config, ["chest"])
    return PairCollator(processor, config)(dataset.__getitems__(picks))


def test_a_batch_of_volumes_is_what_the_processor_makes_of_their_files(config, processor):
    samples = read_folder(config)
    batch = batch_of(config, processor, [0, 1, 2])
    alone = [
        processor(volumes=[str(one.path)], spacing=one.row["slice_spacing_mm"], text=[one.text], return_tensors="pt")
        for one in samples[:3]
    ]
    lengths = [one["pixel_values"].shape[1] for one in alone]
    assert sorted(lengths)[0] == 4 and batch["pixel_values"].shape == (3, 6, 3, 16, 16)
    assert batch["slice_mask"].sum(1).tolist() == lengths
    for row, (one, length) in enumerate(zip(alone, lengths, strict=True)):
        torch.testing.assert_close(batch["pixel_values"][row, :length], one["pixel_values"][0], rtol=0, atol=0)
        torch.testing.assert_close(batch["slice_positions"][row, :length], one["slice_positions"][0])
        assert not batch["pixel_values"][row, length:].any() and not batch["slice_positions"][row, length:].any()
    assert batch["body_part"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("cache_gib", [0.0, 1.0])
def test_kept_or_read_again_volumes_are_the_same(config, processor, cache_gib):
    kept = batch_of(config, processor, [2, 0])
    config.cache_gib = cache_gib
    again = batch_of(config, processor, [2, 0])
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_all_slices_of_a_volume_are_varied_alike(config, processor):
    config.augment = AugmentConfig(flip_chance=1.0)
    plain = batch_of(config, processor, [0, 1])
    flipped = batch_of(config, processor, [Pick(0, 0, 0, 0), Pick(1, 0, 0, 1)])
    torch.testing.assert_close(flipped["pixel_values"], plain["pixel_values"].flip(-1))
    assert torch.equal(flipped["slice_mask"], plain["slice_mask"])


def test_broken_and_missing_volumes_are_skipped_with_their_reason(folder, config, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    first, second = sorted((copy / "volumes").iterdir())[:2]
    first.write_bytes(first.read_bytes()[:300])
    second.unlink()
    config.path = str(copy)
    skipped = tmp_path / "skipped.jsonl"
    samples = read_folder(config, skipped_file=skipped)
    reasons = {row["file_name"]: row["reason"] for row in map(json.loads, skipped.read_text().splitlines())}
    assert set(reasons) == {f"volumes/{first.name}", f"volumes/{second.name}"}
    assert reasons[f"volumes/{first.name}"].startswith("volume cannot be read: ")
    assert reasons[f"volumes/{second.name}"] == "file is missing"
    assert len(samples) == len(read_folder(DataConfig(path=str(folder), volumes=config.volumes))) - 2


def test_a_series_is_hashed_file_by_file_in_the_order_of_names(config, tmp_path):
    samples = read_folder(config)
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    object.__setattr__(samples[0], "path", tmp_path)
    assert image_bytes(samples, 0) == b"onetwo"
    assert image_bytes(samples, 1) == samples[1].path.read_bytes()


def test_pictures_of_slices_show_what_the_volume_shows_there(folder, tmp_path):
    write_slices(tmp_path / "slices", SETTINGS)
    rows = [json.loads(line) for line in (tmp_path / "slices" / "metadata.jsonl").read_text().splitlines()]
    whole = {row["study_id"]: row for row in map(json.loads, (folder / "metadata.jsonl").read_text().splitlines())}
    sick = {row["pair_id"]: row for row in rows if row["findings"]}
    assert sick
    for row in rows:
        study = whole[row["study_id"]]
        assert row["split"] == study["split"] and row["text"]
        expected = [name for name in study["findings"] if row["slice"] in study["finding_slices"].get(name, [])]
        assert row["findings"] == expected
        if row["study_id"].endswith("-twin"):
            assert row["pair_id"] in sick and not row["findings"]
    row = next(row for row in rows if whole[row["study_id"]]["slices"] == 6 and row["slice"] == 3)
    with Image.open(folder / whole[row["study_id"]]["file_name"]) as pages:
        pages.seek(3)
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / "slices" / row["file_name"])), np.asarray(pages)
        )


def test_the_same_settings_are_not_written_twice_and_others_are_refused(folder):
    count = len((folder / "metadata.jsonl").read_text().splitlines())
    assert write_volumes(folder, SETTINGS) == count
    with pytest.raises(FileExistsError, match="something else"):
        write_volumes(folder, VolumeSettings(patients=3))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"patients": 0}, "at least one"),
        ({"findings": ("cough",)}, "cough"),
        ({"window": (100.0, 0.0)}, "in order"),
        ({"normal_slices": -1}, "negative"),
    ],
)
def test_impossible_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        VolumeSettings(**{"patients": 4, **wrong})


def test_a_recipe_says_how_volumes_are_read(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("output: runs/x\nmodel: {tokenizer: t}\ndata: {path: d, volumes: {window: lung, spacing: mm}}\n")
    assert load_recipe(recipe).data.volumes == VolumesConfig(window="lung", spacing="mm")
    assert load_recipe(recipe, ["data.volumes=null"]).data.volumes is None
    with pytest.raises(ValueError, match=r"data\.volumes\.windw"):
        load_recipe(recipe, ["data.volumes.windw=lung"])
    assert load_recipe(recipe, ["data.volumes.window=[40, 400.5]"]).data.volumes.window == [40, 400.5]


@pytest.mark.parametrize(
    ("window", "says"),
    [
        ("brain", "'brain'; it is one of lung, bone, soft_tissue, percentiles, or"),
        ("[40]", "two numbers, the width above 1"),
        ("[40, 0]", "two numbers, the width above 1"),
        ("[low, high]", "two numbers, the width above 1"),
        ("40", "window is 40"),
    ],
)
def test_a_recipes_window_is_refused_before_anything_is_read(tmp_path, window, says):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("output: runs/x\nmodel: {tokenizer: t}\ndata: {path: d, volumes: {}}\n")
    with pytest.raises(ValueError, match=says):
        load_recipe(recipe, [f"data.volumes.window={window}"])


def test_a_recipe_knows_the_windows_that_are_read(config, folder):
    assert {*volume_windows_pedclip.WINDOWS, volume_windows_pedclip.PERCENTILES} == set(WINDOWS)
    config.volumes = VolumesConfig(window=[100, 100], spacing="slice_spacing_mm")
    sample = read_folder(config)[0]
    by_recipe, plain = volume_of_sample(sample, config.volumes)[1], volume_of_sample(sample, VolumesConfig())[1]
    np.testing.assert_allclose(by_recipe, np.clip((plain - 99.5) / 99 + 0.5, 0, 1) * 255, atol=1e-3)


def test_shards_hold_no_volumes():
    config = DataConfig(path="somebody/shards", volumes=VolumesConfig())
    with pytest.raises(ValueError, match=r"data\.volumes is set"):
        read_samples(config, split="train")
