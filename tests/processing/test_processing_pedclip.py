"""Pixels and tokens: the same image in every form gives the same pixels; texts are cut at 120 tokens."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

from pedclip import PedCLIPImageProcessor, PedCLIPProcessor

SIZE = {"height": 32, "width": 32}
GREY = np.random.default_rng(0).integers(0, 256, (50, 41), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (50, 41, 3), dtype=np.uint8)


def small(**fields) -> PedCLIPImageProcessor:
    return PedCLIPImageProcessor(size=SIZE, **fields)


def pixels(images, processor=None, **asked) -> torch.Tensor:
    return (processor or small())(images, return_tensors="pt", **asked).pixel_values


def reference(array: np.ndarray, height=32, width=32) -> torch.Tensor:
    """Pillow's bicubic resize, three channels, and (x / 255 - 0.5) / 0.5."""
    resized = Image.fromarray(array).convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    scaled = (np.asarray(resized, dtype=np.float64) / 255 - 0.5) / 0.5
    return torch.tensor(scaled.transpose(2, 0, 1)).float()


@pytest.mark.parametrize("array", [GREY, COLOUR], ids=["grey", "colour"])
def test_plain_resize_equals_pillows_bicubic_then_the_vits_normalisation(array):
    torch.testing.assert_close(pixels(Image.fromarray(array))[0], reference(array), rtol=0, atol=1e-6)


def colour_forms(folder):
    path = folder / "colour.png"
    Image.fromarray(COLOUR).save(path)
    first = np.moveaxis(COLOUR, -1, 0).copy()
    return {
        "PIL": Image.fromarray(COLOUR),
        "path as text": str(path),
        "Path": path,
        "numpy, channels last": COLOUR,
        "numpy, channels first": first,
        "torch, channels last": torch.from_numpy(COLOUR),
        "torch, channels first": torch.from_numpy(first),
        "a batch of one": first[None],
        "a list of Paths": [path],
    }


def grey_forms(folder):
    path = folder / "grey.png"
    Image.fromarray(GREY).save(path)
    return {
        "PIL": Image.fromarray(GREY),
        "PIL with a palette": Image.fromarray(GREY).convert("P"),
        "PIL with opaque alpha": Image.fromarray(GREY).convert("LA"),
        "path as text": str(path),
        "Path": path,
        "numpy": GREY,
        "numpy, channel first": GREY[None],
        "numpy, channel last": GREY[..., None],
        "torch": torch.from_numpy(GREY),
        "torch, channel first": torch.from_numpy(GREY)[None],
        "a list of 2-D arrays": [GREY],
        "a batch of one": GREY[None, None],
        "three equal channels": np.stack([GREY] * 3, axis=-1),
    }


@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
@pytest.mark.parametrize("forms", [colour_forms, grey_forms])
def test_an_image_gives_the_same_pixels_in_every_form(tmp_path, forms, keep_aspect_ratio):
    processor = small(keep_aspect_ratio=keep_aspect_ratio)
    results = {name: pixels(image, processor) for name, image in forms(tmp_path).items()}

    for name, result in results.items():
        assert result.shape == (1, 3, 32, 32), name
        assert result.dtype == torch.float32, name
        torch.testing.assert_close(result, results["PIL"], rtol=0, atol=0, msg=lambda m, name=name: f"{name}: {m}")


def test_grey_becomes_three_equal_channels():
    result = pixels(GREY)[0]

    assert result.std() > 0.1
    torch.testing.assert_close(result[0], result[1], rtol=0, atol=0)
    torch.testing.assert_close(result[0], result[2], rtol=0, atol=0)


def test_a_batch_of_mixed_sizes_and_kinds_equals_its_images_one_by_one(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(GREY).save(path)
    images = [Image.fromarray(COLOUR), GREY[:20], torch.from_numpy(COLOUR[5:]), path, np.moveaxis(COLOUR, -1, 0)]

    torch.testing.assert_close(pixels(images), torch.cat([pixels(image) for image in images]), rtol=0, atol=0)


def test_the_callers_array_is_left_as_it_was():
    before = GREY.copy()
    pixels([GREY], small(keep_aspect_ratio=True))

    np.testing.assert_array_equal(GREY, before)


@pytest.mark.parametrize("value, expected", [(0, -1.0), (255, 1.0), (51, -0.6)])
def test_black_is_minus_one_and_white_is_one(value, expected):
    torch.testing.assert_close(
        pixels(np.full((40, 40), value, np.uint8)), torch.full((1, 3, 32, 32), expected), rtol=0, atol=1e-6
    )


def test_bicubic_overshoot_stays_between_black_and_white():
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 4), (16, 2))

    for processor in (small(), small(keep_aspect_ratio=True)):
        result = pixels(stripes, processor)
        assert result.min() >= -1 and result.max() <= 1


@pytest.mark.parametrize(
    "height, width, rows, columns",  # rows and columns of the fitted image inside 32 x 32
    [
        (64, 32, (0, 32), (8, 24)),  # tall: black left and right
        (32, 64, (8, 24), (0, 32)),  # wide: black above and below
        (64, 64, (0, 32), (0, 32)),
        (10, 10, (0, 32), (0, 32)),  # small images grow
        (64, 30, (0, 32), (8, 23)),  # 15 columns: 8 black ones left, 9 right
        (1000, 3, (0, 32), (15, 16)),  # never thinner than one pixel
    ],
)
def test_kept_aspect_ratio_fits_the_image_in_and_pads_evenly_with_black(height, width, rows, columns):
    array = np.random.default_rng(0).integers(120, 256, (height, width), dtype=np.uint8)
    result = pixels(array, small(keep_aspect_ratio=True))[0]
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[slice(*rows), slice(*columns)] = True

    assert (result[:, ~inside] == -1).all()
    expected = reference(array, rows[1] - rows[0], columns[1] - columns[0])
    torch.testing.assert_close(result[:, slice(*rows), slice(*columns)], expected, rtol=0, atol=1e-6)


def test_keep_aspect_ratio_can_be_asked_for_in_one_call():
    torch.testing.assert_close(
        pixels(GREY, keep_aspect_ratio=True), pixels(GREY, small(keep_aspect_ratio=True)), rtol=0, atol=0
    )
    assert not torch.equal(pixels(GREY, keep_aspect_ratio=True), pixels(GREY))


def test_keep_aspect_ratio_without_a_full_size_says_what_it_needs():
    with pytest.raises(ValueError, match="keep_aspect_ratio=True needs size with 'height' and 'width'"):
        pixels(GREY, PedCLIPImageProcessor(size={"shortest_edge": 32}, keep_aspect_ratio=True))


def test_the_defaults_are_the_papers_vits():
    processor = PedCLIPImageProcessor()

    assert dict(processor.size) == {"height": 224, "width": 224}
    assert not processor.keep_aspect_ratio
    assert [*processor.image_mean, *processor.image_std] == [0.5] * 6
    assert pixels(GREY, processor).shape == (1, 3, 224, 224)


def test_each_step_can_be_switched_off():
    unscaled = pixels(GREY, small(do_normalize=False, do_rescale=False))
    torch.testing.assert_close((unscaled / 255 - 0.5) / 0.5, pixels(GREY), rtol=0, atol=1e-6)
    assert pixels(GREY, small(do_resize=False)).shape == (1, 3, 50, 41)


def test_something_that_is_no_image_is_refused():
    with pytest.raises((TypeError, ValueError)):
        pixels([object()])
    with pytest.raises((OSError, ValueError)):
        pixels("no/such/file.png")


# The processor: image processor and tokenizer


def test_texts_are_cut_at_120_tokens_and_keep_their_ends(processor):
    tokens = processor(text=["chest " * 300, "chest"], return_tensors="pt")

    assert tokens["input_ids"].shape == (2, 120)
    assert tokens["input_ids"][0, 0] == processor.tokenizer.cls_token_id
    assert tokens["input_ids"][0, -1] == processor.tokenizer.sep_token_id


def test_texts_are_padded_on_the_right_to_the_longest_of_the_batch(processor):
    tokens = processor(text=["chest x-ray of the left hand", "hand"], return_tensors="pt")

    longest = len(processor.tokenizer("chest x-ray of the left hand").input_ids)
    assert tokens["attention_mask"].sum(-1).tolist() == [longest, 3]
    assert tokens["attention_mask"][1].tolist() == [1, 1, 1] + [0] * (longest - 3)
    assert (tokens["input_ids"][1, 3:] == processor.tokenizer.pad_token_id).all()


def test_text_options_of_a_call_come_before_the_defaults(processor):
    padded = processor(text=["hand"], return_tensors="pt", padding="max_length", max_length=10)

    assert padded["input_ids"].shape == (1, 10)


def test_images_and_texts_together_are_what_each_is_alone(processor):
    both = processor(images=[GREY, COLOUR], text=["hand x-ray", "chest"], return_tensors="pt")

    assert set(both) == {"pixel_values", "input_ids", "attention_mask", "token_type_ids"}
    assert set(both) == set(processor.model_input_names)
    torch.testing.assert_close(
        both["pixel_values"], processor(images=[GREY, COLOUR], return_tensors="pt").pixel_values
    )
    assert both["input_ids"].tolist() == processor(text=["hand x-ray", "chest"]).input_ids


def test_tokens_turn_back_into_text(processor):
    ids = processor(text="Chest x-ray, normal.").input_ids

    assert processor.batch_decode([ids], skip_special_tokens=True) == ["chest x - ray, normal."]


@pytest.mark.parametrize("keep_aspect_ratio", [False, True])
def test_a_saved_processor_opens_through_the_auto_classes_and_does_the_same(tokenizer, tmp_path, keep_aspect_ratio):
    saved = PedCLIPProcessor(
        PedCLIPImageProcessor(size={"height": 40, "width": 24}, keep_aspect_ratio=keep_aspect_ratio), tokenizer
    )
    saved.save_pretrained(tmp_path / "once")
    AutoProcessor.from_pretrained(tmp_path / "once").save_pretrained(tmp_path / "twice")
    text = ["chest x-ray", "fracture of the left wrist"]
    expected = saved(images=GREY, text=text, return_tensors="pt")

    for folder in (tmp_path / "once", tmp_path / "twice"):
        opened = AutoProcessor.from_pretrained(folder)
        assert type(opened) is PedCLIPProcessor
        assert type(opened.image_processor) is PedCLIPImageProcessor
        assert opened.image_processor.to_dict() == saved.image_processor.to_dict()
        again = opened(images=GREY, text=text, return_tensors="pt")
        for key in expected:
            torch.testing.assert_close(again[key], expected[key], rtol=0, atol=0)

        alone = AutoImageProcessor.from_pretrained(folder)
        torch.testing.assert_close(pixels(GREY, alone), expected["pixel_values"], rtol=0, atol=0)
        words = AutoTokenizer.from_pretrained(folder)(text, padding=True, return_tensors="pt")
        torch.testing.assert_close(words["input_ids"], expected["input_ids"])


def test_an_image_processor_saved_alone_opens_alone(tmp_path):
    saved = small(keep_aspect_ratio=True)
    saved.save_pretrained(tmp_path)

    for opened in (AutoImageProcessor.from_pretrained(tmp_path), PedCLIPImageProcessor.from_pretrained(tmp_path)):
        assert opened.to_dict() == saved.to_dict()
        torch.testing.assert_close(pixels(GREY, opened), pixels(GREY, saved), rtol=0, atol=0)


def test_the_processor_of_a_real_bert_reads_reports(minilm_folder, tmp_path):
    # a tokenizer's own max_length (here 128) comes before the processor's default, as everywhere in transformers
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder, max_length=120)
    PedCLIPProcessor(small(), tokenizer).save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    report = "There is irregularity of the lateral margin of the base of the 5th metatarsal. " * 20
    tokens = processor(text=[report, "Normal."], return_tensors="pt")

    assert tokens["input_ids"].shape == (2, 120)
    assert processor.tokenizer.decode(tokens["input_ids"][1], skip_special_tokens=True) == "normal."
