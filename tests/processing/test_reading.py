"""Files, bytes and arrays of 8 bits or more as displayed pixels; what is no image is refused with one clear error."""

import base64
import io
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from pedclip import PedCLIPImageProcessor
from pedclip.processing import dicom_pedclip, reading_pedclip
from pedclip.processing.dicom_pedclip import UnreadableImageError
from pedclip.processing.reading_pedclip import read_radiograph

RANDOM = np.random.default_rng(0)
# a film of 12 bits in 16: a bright bone on a dark ground, and a few hot pixels that no window should follow
DEEP = (RANDOM.normal(900, 120, (70, 60)) + 1800 * np.exp(-(np.linspace(-3, 3, 60) ** 2))).astype(np.uint16)
DEEP[0, :6] = 65535


def windowed(values: np.ndarray) -> np.ndarray:
    """The rule for more than 8 bits, by numpy on all pixels."""
    low, high = np.percentile(values.astype(np.float64), (0.5, 99.5), method="inverted_cdf")
    return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255


def encoded(image: Image.Image, form: str, **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def pixels(image, **asked) -> torch.Tensor:
    return PedCLIPImageProcessor(size={"height": 32, "width": 32}, **asked)(image, return_tensors="pt").pixel_values


@pytest.mark.parametrize("form, how", [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {})])
def test_files_of_16_bits_keep_their_depth(form, how):
    radiograph = read_radiograph(encoded(Image.fromarray(DEEP), form, **how))
    assert (radiograph.bits, radiograph.window) in ((16, "percentiles"), (32, "percentiles"))
    np.testing.assert_allclose(radiograph.pixels, windowed(DEEP), rtol=0, atol=1e-3)
    assert np.unique(radiograph.pixels).size > 300  # more shades than 8 bits have
    assert np.median(radiograph.pixels) < 200  # and not made white


def test_a_tiff_of_the_other_byte_order_and_one_where_white_is_zero_read_the_same():
    plain = encoded(Image.fromarray(DEEP), "TIFF")
    big_endian = encoded(Image.fromarray(DEEP.astype(">u2")), "TIFF")
    assert b"MM" in (plain[:2], big_endian[:2]) or Image.open(io.BytesIO(big_endian)).mode == "I;16B"
    inverted = encoded(Image.fromarray(65535 - DEEP), "TIFF", tiffinfo={262: 0})
    expected = read_radiograph(plain).pixels
    np.testing.assert_allclose(read_radiograph(big_endian).pixels, expected, atol=1e-3)
    with Image.open(io.BytesIO(inverted)) as image:
        assert image.tag_v2[262] == 0
    # the percentiles of the inverted film are its own: they may differ by one pixel's rank
    np.testing.assert_allclose(read_radiograph(inverted).pixels, expected, atol=3)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM"])
def test_files_of_8_bits_stay_as_they_are(form, colour):
    values = RANDOM.integers(0, 256, (40, 30, 3) if colour else (40, 30), dtype=np.uint8)
    content = encoded(Image.fromarray(values), form, **({"lossless": True} if form == "WEBP" else {}))
    radiograph = read_radiograph(content)
    assert radiograph.window == "8 bits" and radiograph.pixels.dtype == np.uint8
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image)
    np.testing.assert_array_equal(radiograph.pixels, expected)


def test_an_image_on_its_side_is_put_upright():
    shades = RANDOM.integers(0, 256, (40, 30), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    content = encoded(Image.fromarray(shades), "PNG", exif=exif)
    np.testing.assert_array_equal(read_radiograph(content).pixels, np.rot90(shades, -1))


def test_deep_arrays_of_every_kind_give_the_pixels_of_the_file(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(DEEP).save(path)
    expected = pixels(path)
    forms = {
        "text": str(path),
        "bytes": path.read_bytes(),
        "base64": base64.b64encode(path.read_bytes()).decode(),
        "data URL": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        "PIL": Image.open(path),
        "PIL, mode I": Image.fromarray(DEEP.astype(np.int32)),
        "uint16": DEEP,
        "uint16, channel first": DEEP[None],
        "uint16, channel last": DEEP[..., None],
        "int32": DEEP.astype(np.int32),
        "int64 torch": torch.from_numpy(DEEP.astype(np.int64)),
        "uint16 torch": torch.from_numpy(DEEP),
        "a batch": DEEP[None, None],
        "three channels": np.stack([DEEP] * 3, axis=-1),
        "signed, shifted": (DEEP.astype(np.int32) - 32768).astype(np.int16),
    }
    for name, image in forms.items():
        torch.testing.assert_close(pixels(image), expected, rtol=0, atol=2e-5, msg=lambda m, name=name: f"{name}: {m}")
    resized = Image.fromarray(windowed(DEEP).astype(np.float32)).resize((32, 32), Image.Resampling.BICUBIC)
    scaled = np.clip(np.asarray(resized), 0, 255) / 255
    np.testing.assert_allclose(expected[0, 1] * 0.5 + 0.5, scaled, rtol=0, atol=1 / 2550)


def test_real_wrists_of_16_bits_agree_with_numpy_and_pillow(shared_data):
    files = sorted((shared_data / "originals").glob("graz_*.png"))
    assert len(files) == 5
    for file in files:
        with Image.open(file) as stored:
            values = np.asarray(stored)
        assert values.max() > 255
        shown = Image.fromarray(windowed(values).astype(np.float32))
        for side in (32, 224):
            resized = np.clip(np.asarray(shown.resize((side, side), Image.Resampling.BICUBIC)), 0, 255) / 255
            found = PedCLIPImageProcessor(size={"height": side, "width": side})(file, return_tensors="np").pixel_values
            np.testing.assert_allclose(found[0, 2] * 0.5 + 0.5, resized, rtol=0, atol=1 / 2550)


def test_wide_integers_that_hold_8_bits_are_8_bits():
    shades = RANDOM.integers(0, 256, (40, 30), dtype=np.uint8)
    for wide in (shades.astype(np.int64), torch.from_numpy(shades).long(), Image.fromarray(shades.astype(np.int32))):
        torch.testing.assert_close(pixels(wide), pixels(shades), rtol=0, atol=0)


def test_floating_point_arrays_are_the_callers_own():
    shades = RANDOM.random((40, 30)).astype(np.float32)
    result = pixels(shades, do_rescale=False, do_normalize=False)[0, 0]
    resized = np.asarray(Image.fromarray(shades).resize((32, 32), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(result, np.clip(resized, 0, 1), rtol=0, atol=1e-6)


def test_a_black_and_an_even_image_of_16_bits_are_black():
    for value in (0, 900):
        assert read_radiograph(encoded(Image.fromarray(np.full((20, 20), value, np.uint16)), "PNG")).pixels.max() == 0


def pages(count: int, form: str) -> bytes:
    first, *rest = [Image.fromarray(DEEP.astype(np.uint8) + number) for number in range(count)]
    return encoded(first, form, save_all=True, append_images=rest)


NO_IMAGE = {
    "empty": (b"", "empty"),
    "text": (b"patient,age\n1,7\n", "no image that is read"),
    "cut short": (encoded(Image.fromarray(DEEP), "PNG")[:2000], "broken"),
    "a DICOM start alone": (b"\0" * 128 + b"DICM", "no data element|no image|broken"),
    "pages": (pages(3, "TIFF"), "3 frames or pages"),
    "an animation": (pages(2, "GIF"), "2 frames or pages"),
}


@pytest.mark.parametrize("name", NO_IMAGE)
def test_what_is_no_image_is_refused_with_a_reason(name, tmp_path):
    content, message = NO_IMAGE[name]
    path = tmp_path / "film.png"
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises(UnreadableImageError, match=message):
            read_radiograph(source)


def test_huge_images_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    huge = encoded(Image.new("1", (9000, 9000)), "PNG")
    assert len(huge) < 50_000
    with pytest.raises(UnreadableImageError, match="9000 x 9000 pixels; at most 50000000"):
        read_radiograph(huge)
    with pytest.raises(UnreadableImageError, match="too large; at most 50000000"):
        read_radiograph(encoded(Image.new("1", (20000, 20000)), "PNG"))
    (tmp_path / "a.png").write_bytes(huge)
    for module in (dicom_pedclip, reading_pedclip):
        monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(UnreadableImageError, match=r"has \d+ bytes; at most 1000"):
        read_radiograph(tmp_path / "a.png")


def test_folders_pipes_and_absent_files_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path, tmp_path / "pipe.png", tmp_path / "absent.png"):
        with pytest.raises(FileNotFoundError, match="there is no image file"):
            read_radiograph(path)
    with pytest.raises(FileNotFoundError, match=r"absent.png is no file, no address \(http, https\), and no image in"):
        pixels("absent.png")
    with pytest.raises(FileNotFoundError, match="is no file, no address"):
        pixels("file:///etc/hostname")


@pytest.mark.parametrize("image", [np.zeros((0, 4), np.uint8), np.zeros((3, 0, 4), np.uint16)])
def test_empty_arrays_are_refused(image):
    with pytest.raises(UnreadableImageError, match="empty"):
        pixels(image)


def test_arrays_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match=r"2 or 3 axes and a batch 4; this array has the shape \(2, 2, 2, 2, 2\)"):
        pixels(np.zeros((2, 2, 2, 2, 2), np.uint8))
    with pytest.raises(TypeError, match="a dict is no image"):
        pixels({"image": 1})
    with pytest.raises(UnreadableImageError, match="not finite"):
        read_radiograph(Image.fromarray(np.full((20, 20), np.nan, np.float32)))


def test_a_web_address_is_read_up_to_the_limit(monkeypatch):
    content = encoded(Image.fromarray(DEEP), "PNG")

    class Films(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/elsewhere":
                self.send_response(302)
                self.send_header("Location", "file:///etc/hostname")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Films)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        torch.testing.assert_close(pixels(f"{address}/film.png"), pixels(content), rtol=0, atol=0)
        with pytest.raises(OSError, match="file"):
            pixels(f"{address}/elsewhere")
        monkeypatch.setattr(reading_pedclip, "MAX_BYTES", 1000)
        with pytest.raises(UnreadableImageError, match="more than 1000 bytes"):
            pixels(f"{address}/film.png")
    finally:
        server.shutdown()


def test_the_callers_picture_is_left_as_it_was():
    gif = Image.open(io.BytesIO(pages(2, "GIF")))
    with pytest.raises(UnreadableImageError, match="2 frames"):
        read_radiograph(gif)
    assert len(list(ImageSequence.Iterator(gif))) == 2
    before = DEEP.copy()
    pixels([DEEP])
    np.testing.assert_array_equal(DEEP, before)
