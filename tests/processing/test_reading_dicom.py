"""DICOM files as displayed pixels: the same as pydicom's own functions give on every pixel, in each form."""

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_reference import as_bytes, make, reference
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from pedclip import PedCLIPImageProcessor
from pedclip.processing import dicom_pedclip
from pedclip.processing.dicom_pedclip import UnreadableImageError
from pedclip.processing.reading_pedclip import read_radiograph

TEST_FILES = Path(pydicom.__file__).parent / "data/test_files"
# pydicom's own test files that hold one whole image
WHOLE = """
693_J2KI CT_small ExplVR_BigEnd GDCMJ2K_TextGBR J2K_pixelrep_mismatch JPEG2000 JPEGLSNearLossless_08
JPEGLSNearLossless_16 JPGExtended MR_small MR_small_RLE MR_small_bigendian MR_small_expb MR_small_implicit
MR_small_jp2klossless MR_small_jpeg_ls_lossless MR_small_padded SC_jpeg_no_color_transform SC_rgb_dcmtk_+eb+cr
SC_rgb_dcmtk_+eb+cy+n1 SC_rgb_dcmtk_+eb+cy+np SC_rgb_gdcm_KY SC_rgb_jls_lossy_line SC_rgb_jpeg_dcmd
SC_rgb_jpeg_gdcm SC_rgb_rle SC_rgb_rle_16bit SC_rgb_rle_32bit SC_rgb_small_odd SC_rgb_small_odd_big_endian
SC_ybr_full_422_uncompressed examples_jpeg2k examples_overlay examples_palette examples_rgb_color image_dfl
liver_1frame liver_expb_1frame rtdose_1frame rtdose_expb_1frame rtdose_rle_1frame
""".split()
RAMP = np.add.outer(np.arange(60) * 40, np.arange(50) * 30)  # 0..3830
GREY = {
    "12 of 16 bits": dict(pixels=RAMP.astype(np.uint16), bits=12),
    "16 bits": dict(pixels=(RAMP * 16).astype(np.uint16), bits=16),
    "10 bits": dict(pixels=(RAMP // 4).astype(np.uint16), bits=10),
    "8 bits": dict(pixels=(RAMP // 16).astype(np.uint8), bits=8),
    "7 of 8 bits": dict(pixels=(RAMP // 32).astype(np.uint8), bits=7),
    "signed 12 bits": dict(pixels=(RAMP - 2000).astype(np.int16), bits=12),
    "signed 16 bits": dict(pixels=(RAMP * 16 - 30000).astype(np.int16), bits=16),
    "32 bits": dict(pixels=RAMP.astype(np.uint32) * 1000, bits=32),
}
# centre and width as shares of the image's range
WINDOWS = {
    "none": {},
    "linear": dict(WindowCenter=[0.3], WindowWidth=[0.5]),
    "narrow": dict(WindowCenter=[0.5], WindowWidth=[0]),
    "exact": dict(WindowCenter=[0.3], WindowWidth=[0.5], VOILUTFunction="LINEAR_EXACT"),
    "sigmoid": dict(WindowCenter=[0.3], WindowWidth=[0.5], VOILUTFunction="SIGMOID"),
    "two of them": dict(WindowCenter=[0.3, 0.9], WindowWidth=[0.5, 0.1]),
    "rescaled": dict(WindowCenter=[0.3], WindowWidth=[0.5], RescaleSlope="0.5", RescaleIntercept="-20"),
    "rescaled, no window": dict(RescaleSlope="-2", RescaleIntercept="7"),
}


def window_of(name: str, pixels: np.ndarray) -> dict:
    """The fields of a window for an image of this range; width 0 stands for the least there may be, 1."""
    fields = dict(WINDOWS[name])
    if "WindowCenter" in fields:
        slope, intercept = float(fields.get("RescaleSlope", 1)), float(fields.get("RescaleIntercept", 0))
        low, high = sorted(float(end) * slope + intercept for end in (pixels.min(), pixels.max()))
        fields["WindowCenter"] = [round(low + share * (high - low)) for share in fields["WindowCenter"]]
        fields["WindowWidth"] = [max(round(share * (high - low)), 1) for share in fields["WindowWidth"]]
    return fields


def read(dataset: pydicom.Dataset, **how) -> np.ndarray:
    return read_radiograph(as_bytes(dataset, **how)).pixels


def lut(first: int, entries: int, bits: int, falling: bool = False) -> pydicom.Sequence:
    item = pydicom.Dataset()
    values = (np.linspace(0, 1, entries) ** 0.5 * (2**bits - 1)).astype(np.uint16)
    item.add_new(0x00283002, "US", [entries, first, bits])
    item.add_new(0x00283006, "OW", (values[::-1] if falling else values).tobytes())
    return pydicom.Sequence([item])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WHOLE)
def test_pydicoms_test_files_read_as_pydicom_reads_them(name):
    path = TEST_FILES / f"{name}.dcm"
    radiograph = read_radiograph(path)
    np.testing.assert_allclose(radiograph.pixels, reference(pydicom.dcmread(path)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("depth", GREY)
def test_depth_window_and_photometric_interpretation_read_as_with_pydicoms_functions(depth, window, photometric):
    dataset = make(**GREY[depth], photometric=photometric, **window_of(window, GREY[depth]["pixels"]))
    expected = reference(dataset)
    found = read(dataset)
    assert found.shape == expected.shape and found.min() >= 0 and found.max() <= 255
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)
    assert window == "narrow" or np.unique(found).size > 10


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_lookup_tables_read_as_with_pydicoms_functions(photometric):
    voi = make(**GREY["12 of 16 bits"], photometric=photometric, VOILUTSequence=lut(100, 3000, 12))
    np.testing.assert_allclose(read(voi), reference(voi), rtol=0, atol=1e-3)
    both = make(
        **GREY["12 of 16 bits"],
        photometric=photometric,
        ModalityLUTSequence=lut(0, 4096, 16, falling=True),
        WindowCenter=30000,
        WindowWidth=20000,
    )
    both.ModalityLUTSequence[0].ModalityLUTType = "US"
    np.testing.assert_allclose(read(both), reference(both), rtol=0, atol=1e-3)
    # where a file has both, its table goes first, as pydicom has it
    voi.WindowCenter, voi.WindowWidth = 1000, 10
    np.testing.assert_allclose(read(voi), reference(voi), rtol=0, atol=1e-3)
    assert np.unique(read(voi)).size > 100


COMPRESSED = [RLELossless, JPEGLSLossless, JPEG2000Lossless]


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda uid: uid.name)
@pytest.mark.parametrize("depth", ["12 of 16 bits", "16 bits", "8 bits", "signed 16 bits"])
def test_lossless_transfer_syntaxes_give_the_native_pixels(syntax, depth):
    dataset = make(**GREY[depth], WindowCenter=1000, WindowWidth=900)
    native = read(dataset)
    dataset.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read(dataset), native)


@pytest.mark.parametrize("syntax", COMPRESSED[:1] + COMPRESSED[2:], ids=lambda uid: uid.name)
def test_compressed_colour_gives_the_native_pixels(syntax):
    colour = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    dataset = make(colour, bits=8, photometric="RGB")
    np.testing.assert_array_equal(read(dataset), colour)
    dataset.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read(dataset), colour)


def test_other_native_transfer_syntaxes_give_the_same_pixels():
    dataset = make(**GREY["signed 12 bits"], WindowCenter=0, WindowWidth=900)
    expected = read(dataset)
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        dataset.file_meta.TransferSyntaxUID = syntax
        np.testing.assert_array_equal(read(dataset), expected)
    big = make(**GREY["signed 12 bits"], WindowCenter=0, WindowWidth=900)
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    big.PixelData = GREY["signed 12 bits"]["pixels"].byteswap().tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, big, implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(read_radiograph(buffer.getvalue()).pixels, expected)


def test_lossy_jpeg_gives_the_pixels_of_pillows_decoder():
    shades = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8) * 2
    buffer = io.BytesIO()
    Image.fromarray(shades).save(buffer, "JPEG", quality=90)
    dataset = make(shades, bits=8)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    decoded = np.asarray(Image.open(buffer))
    assert np.abs(read(dataset).astype(int) - decoded).max() <= 1  # decoders may round the last bit differently


def test_what_lies_above_the_bits_stored_is_no_part_of_the_image():
    clean = make(**GREY["12 of 16 bits"], WindowCenter=1000, WindowWidth=900)
    overlaid = make(GREY["12 of 16 bits"]["pixels"] | 0xA000, bits=12, WindowCenter=1000, WindowWidth=900)
    np.testing.assert_array_equal(read(overlaid), read(clean))


def test_padding_has_no_part_in_the_percentiles():
    pixels = GREY["12 of 16 bits"]["pixels"] // 2 + 500
    padded = pixels.copy()
    padded[:, :20] = 4000
    with_padding = make(padded, bits=12, PixelPaddingValue=4000)
    np.testing.assert_array_equal(read(with_padding)[:, 20:], read(make(pixels[:, 20:].copy(), bits=12)))


def test_the_tensor_is_within_a_grey_level_of_the_independent_reading_resized_by_pillow():
    large = np.kron(RAMP, np.ones((11, 9))).astype(np.uint16)[:613, :431]
    dataset = make(large, bits=12, photometric="MONOCHROME1", WindowCenter=1500, WindowWidth=2500)
    pixel_values = PedCLIPImageProcessor()(as_bytes(dataset), return_tensors="np").pixel_values
    shown = Image.fromarray(reference(dataset).astype(np.float32))
    resized = np.clip(np.asarray(shown.resize((224, 224), Image.Resampling.BICUBIC)), 0, 255) / 255
    assert pixel_values.shape == (1, 3, 224, 224)
    for channel in pixel_values[0]:
        np.testing.assert_allclose(channel * 0.5 + 0.5, resized, rtol=0, atol=1 / 2550)


@pytest.mark.parametrize(
    "name, error",
    [
        ("JPEG-lossy", "broken"),
        ("MR_truncated", "cut short: 8130 of 8192 bytes"),
        ("SC_rgb_rle_2frame", "2 frames"),
        ("examples_ybr_color", "30 frames"),
        ("rtplan", "no image"),
        ("test-SR", "no image"),
        ("meta_missing_tsyntax", "0 rows and 0 columns"),
        ("badVR", "broken"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_files_without_one_whole_image_say_why(name, error):
    with pytest.raises(UnreadableImageError, match=error):
        read_radiograph(TEST_FILES / f"{name}.dcm")


def test_a_file_without_preamble_or_suffix_is_still_dicom(tmp_path):
    dataset = make(**GREY["12 of 16 bits"], WindowCenter=1000, WindowWidth=900)
    content = as_bytes(dataset)
    for name, part in (
        ("old.dcm", content[132:]),
        ("image.dicom", content),
        ("IM0001", content),
        ("x", content[132:]),
    ):
        (tmp_path / name).write_bytes(part)
        np.testing.assert_array_equal(read_radiograph(tmp_path / name).pixels, read(dataset))


def test_a_huge_claim_is_refused_before_anything_is_decoded():
    dataset = make(**GREY["12 of 16 bits"])
    dataset.Rows, dataset.Columns = 60000, 60000
    with pytest.raises(UnreadableImageError, match=r"60000 x 60000 pixels; at most 50000000"):
        read(dataset)
    dataset = make(**GREY["8 bits"])
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.Rows, dataset.Columns = 30, 30  # the stream says otherwise
    with pytest.raises(UnreadableImageError, match="30 x 30 pixels and its stream 50 x 60"):
        read(dataset)


def test_a_deflated_bomb_is_refused(monkeypatch):
    dataset = make(np.zeros((1000, 1000), np.uint16), bits=12)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    content = as_bytes(dataset)
    monkeypatch.setattr(dicom_pedclip, "MAX_BYTES", 10**6)
    assert len(content) < 10**5
    with pytest.raises(UnreadableImageError, match="inflates to more than 1000000 bytes"):
        read_radiograph(content)


def test_without_pydicom_or_a_decoder_the_message_says_what_to_install(monkeypatch):
    dataset = make(**GREY["8 bits"])
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    content = as_bytes(dataset)

    class Missing:
        is_available = False

    monkeypatch.setattr(pydicom.pixels, "get_decoder", lambda uid: Missing)
    with pytest.raises(ImportError, match=r"JPEG-LS Lossless.*pip install .*pylibjpeg"):
        read_radiograph(content)
    monkeypatch.setattr(dicom_pedclip, "pydicom", None)
    with pytest.raises(ImportError, match=r"pip install .*pydicom"):
        read_radiograph(content)


def test_real_computed_radiographs_are_white_on_black(shared_data):
    """Both originals are MONOCHROME1: inverted, the air round the patient would be white."""
    for name in ("dicom_00001.dcm", "dicom_00002.dcm"):
        path = shared_data / "originals" / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = reference(pydicom.dcmread(path))
        radiograph = read_radiograph(path)
        np.testing.assert_allclose(radiograph.pixels, expected, rtol=0, atol=2e-3)
        pixel_values = PedCLIPImageProcessor()(path, return_tensors="np").pixel_values
        resized = Image.fromarray(expected.astype(np.float32)).resize((224, 224), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(
            pixel_values[0, 0] * 0.5 + 0.5, np.clip(np.asarray(resized), 0, 255) / 255, rtol=0, atol=1 / 2550
        )
