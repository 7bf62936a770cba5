"""Volumes read right: real series that pydicom and nibabel bring along, made ones, and broken ones."""

import copy
import gzip
import re
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from dicom_reference import as_bytes, make
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut

from pedclip import PedCLIPImageProcessor, PedCLIPModel, PedCLIPProcessor
from pedclip.processing import (
    dicom_pedclip,
    dicom_series_pedclip,
    reading_pedclip,
    volume_reading_pedclip,
    volume_windows_pedclip,
)
from pedclip.processing.dicom_pedclip import UnreadableImageError
from pedclip.processing.dicom_series_pedclip import series_in
from pedclip.processing.pipeline_pedclip import PedCLIPZeroShotImageClassificationPipeline
from pedclip.processing.volume_reading_pedclip import read_views, read_volume

REAL = Path(get_testdata_file("CT_small.dcm")).parent / "dicomdirtests"
CT = REAL / "98892001" / "CT5N"  # five slices of 2.5 mm, 16 x 16
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 20, 30), dtype=np.uint8)


def stack(volume) -> np.ndarray:
    """(S, H, W)."""
    return np.stack([volume[number][0] for number in range(len(volume))])


def by_hand(dataset: pydicom.Dataset, centre: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1 on pydicom's own pixels."""
    values = apply_modality_lut(dataset.pixel_array, dataset).astype(np.float64)
    shown = np.clip(((values - (centre - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)
    if "PixelPaddingValue" in dataset:
        shown[dataset.pixel_array == dataset.PixelPaddingValue] = 0
    return shown


def slices(count: int = 5, step: float = 3.0, **fields) -> list[pydicom.Dataset]:
    """A made CT series, its files in no order."""
    made = []
    series, size = pydicom.uid.generate_uid(), fields.pop("size", (12, 10))
    for number in range(count):
        pixels = RNG.integers(0, 2000, size).astype(np.uint16)
        one = make(pixels, bits=12, Modality="CT", SeriesInstanceUID=series, SeriesNumber=4)
        one.RescaleSlope, one.RescaleIntercept = 1, -1000
        one.PatientID, one.FrameOfReferenceUID, one.PixelSpacing = "a child", "1.2.3.4", [0.5, 0.5]
        one.ImagePositionPatient = [-5.0, -6.0, number * step - 40]
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        for name, value in fields.items():
            setattr(one, name, value)
        made.append(one)
    return made


def written(folder: Path, datasets: list[pydicom.Dataset]) -> Path:
    folder.mkdir(exist_ok=True)
    names = RNG.permutation(len(datasets))  # the order of names is not that of places
    for name, dataset in zip(names, datasets, strict=True):
        (folder / f"{name:03}.dcm").write_bytes(as_bytes(dataset))
    return folder


@pytest.fixture
def processor(tokenizer) -> PedCLIPProcessor:
    return PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer)


# --- real files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "centre", "width"), [(None, 50, 400), ("lung", -600, 1500), ("bone", 400, 1800)])
def test_a_real_ct_series_is_read_as_pydicom_reads_it(window, centre, width):
    datasets = [pydicom.dcmread(path) for path in CT.iterdir()]
    datasets.sort(key=lambda dataset: dataset.ImagePositionPatient[2])

    volume = read_volume(CT, window=window)

    np.testing.assert_allclose(stack(volume), [by_hand(one, centre, width) for one in datasets], rtol=0, atol=1e-3)
    np.testing.assert_allclose(volume.positions, [-1.2375, 1.2625, 3.7625, 6.2625, 8.7625])
    assert (volume.window, volume.spacing) == (window or "soft_tissue", pytest.approx(2.5))


def test_a_real_slice_alone_is_a_volume_of_one():
    for name, compressed in (("CT_small.dcm", False), ("693_J2KI.dcm", True)):
        dataset = pydicom.dcmread(get_testdata_file(name))
        assert dataset.file_meta.TransferSyntaxUID.is_compressed == compressed
        volume = read_volume(get_testdata_file(name), window=(40, 350))
        np.testing.assert_allclose(stack(volume)[0], by_hand(dataset, 40, 350), rtol=0, atol=1e-3)
        assert volume.spacing is None


def test_a_real_mr_slice_is_shown_between_its_percentiles():
    dataset = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    low, high = np.percentile(dataset.pixel_array, (0.5, 99.5), method="inverted_cdf")

    volume = read_volume(get_testdata_file("MR_small.dcm"))

    by_hand = np.clip((dataset.pixel_array - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(stack(volume)[0], by_hand, rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match="window='lung' is in Hounsfield units, and this is no CT"):
        read_volume(get_testdata_file("MR_small.dcm"), window="lung")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("77654033/CT2", r"slices are missing in 1 places: none lies between -99.48 and 103.02 mm, .* 1.25 mm apart"),
        ("98892001/CT2N", "6293 and 6924 lie in different directions, as in a localizer"),
        ("98892003/MR700", "lie in different directions"),
        ("98892003/MR2", r"3 series \(number 2 with 1 files, number 2 with 3 files, .*series_in\(folder\)"),
        ("77654033/CR1", r"6154 does not say where its slice lies .*pass views="),
        ("98892003", "none of the 0 files of 98892003 is a DICOM image; its 3 folders are not looked into"),
    ],
)
def test_real_folders_that_are_no_one_volume_say_why(folder, said):
    with pytest.raises(UnreadableImageError, match=said):
        read_volume(REAL / folder)


def test_real_series_of_a_mixed_folder_can_be_told_apart():
    found = series_in(REAL / "98892003" / "MR2")
    assert sorted(map(len, found.values())) == [1, 3, 3]
    assert all(pydicom.dcmread(path).SeriesInstanceUID == series for series, own in found.items() for path in own)
    assert len(read_volume(REAL / "77654033" / "CT2", allow_gaps=True)) == 4


def test_real_films_with_frames_are_no_volumes():
    with pytest.raises(UnreadableImageError, match="15 frames and no place for each of them"):
        read_volume(get_testdata_file("rtdose.dcm"))
    with pytest.raises(UnreadableImageError, match="YBR_FULL_422; volumes are read in grey"):
        read_volume(get_testdata_file("examples_ybr_color.dcm"))


# --- made DICOM series ----------------------------------------------------------------------------------------------


def test_slices_come_by_place_and_not_by_name_whichever_way_they_are_stored(tmp_path):
    datasets = slices()
    expected = [by_hand(one, 50, 400) for one in datasets]
    (written(tmp_path / "a", datasets) / "README.txt").write_text("not a slice")
    np.testing.assert_allclose(stack(read_volume(tmp_path / "a")), expected, rtol=0, atol=1e-3)
    paths = sorted((tmp_path / "a").glob("*.dcm"), reverse=True)
    np.testing.assert_allclose(stack(read_volume(paths)), expected, rtol=0, atol=1e-3)

    for one in datasets:
        one.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]  # mirrored: their normal points to the feet
    mirrored = read_volume(written(tmp_path / "b", datasets))
    np.testing.assert_allclose(stack(mirrored), expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(mirrored.positions, np.arange(5) * 3.0 - 40)


def test_tilted_slices_are_measured_along_their_normal(tmp_path):
    datasets = slices(4)
    tilt = np.deg2rad(20)
    for number, one in enumerate(datasets):
        one.ImageOrientationPatient = [1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)]
        one.ImagePositionPatient = [0, 0, number * 3.0]  # a gantry moves along the table
    np.testing.assert_allclose(read_volume(written(tmp_path / "a", datasets)).spacing, 3 * np.cos(tilt), rtol=1e-6)


def test_what_pads_is_black_and_does_not_count_for_percentiles(tmp_path):
    datasets = slices(3, PixelPaddingValue=0, Modality="MR")
    for one in datasets:
        stored = one.pixel_array + 100
        stored[:4] = 0
        one.PixelData = stored.astype(np.uint16).tobytes()
    volume = read_volume(written(tmp_path / "a", datasets))

    kept = np.concatenate([one.pixel_array[4:].ravel() for one in datasets]) - 1000.0
    low, high = np.percentile(kept, (0.5, 99.5), method="inverted_cdf")
    for number, one in enumerate(datasets):
        expected = np.clip((one.pixel_array - 1000.0 - low) / (high - low), 0, 1) * 255
        expected[:4] = 0
        np.testing.assert_allclose(volume[number][0], expected, rtol=0, atol=1e-3)


def test_low_is_bright_in_monochrome1(tmp_path):
    plain, inverted = slices(3), None
    inverted = copy.deepcopy(plain)
    for one in inverted:
        one.PhotometricInterpretation = "MONOCHROME1"
    first, second = (read_volume(written(tmp_path / name, s)) for name, s in (("a", plain), ("b", inverted)))
    np.testing.assert_allclose(stack(first) + stack(second), 255, atol=1e-3)


def enhanced(count: int = 4, syntax: str | None = None) -> pydicom.Dataset:
    """An enhanced CT: frames in no order, each with its place, and a rescale of its own."""
    pixels = RNG.integers(0, 2000, (count, 12, 10)).astype(np.uint16)
    file = make(pixels[0], bits=12, Modality="CT", NumberOfFrames=count)
    file.PixelData = pixels.tobytes()
    plane = Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PlaneOrientationSequence = [plane]
    file.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for place in RNG.permutation(count):
        group, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, float(place) * 2]
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1000 - int(place) * 10, "HU"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [rescale]
        groups.append(group)
    file.PerFrameFunctionalGroupsSequence = groups
    return file


def test_frames_of_an_enhanced_file_come_by_place_with_their_own_rescale(tmp_path):
    file = enhanced()
    (tmp_path / "a.dcm").write_bytes(as_bytes(file))
    volume = read_volume(tmp_path / "a.dcm", window="bone")

    np.testing.assert_allclose(volume.positions, [0, 2, 4, 6])
    for frame, group in enumerate(file.PerFrameFunctionalGroupsSequence):
        place = round(group.PlanePositionSequence[0].ImagePositionPatient[2] / 2)
        values = file.pixel_array[frame] - 1000.0 - place * 10
        expected = np.clip((values - 399.5) / 1799 + 0.5, 0, 1) * 255
        np.testing.assert_allclose(volume[place][0], expected, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(stack(read_volume(as_bytes(file), window="bone")), stack(volume))


def changed(**fields):
    def change(datasets):
        for name, value in fields.items():
            setattr(datasets[2], name, value)

    return change


def removed(name):
    return lambda datasets: delattr(datasets[2], name)


BROKEN = {
    "two at one place": (changed(ImagePositionPatient=[-5.0, -6.0, -37]), r"lie at the same place \(-37.00 mm\)"),
    "two series": (changed(SeriesInstanceUID="1.2.3", SeriesNumber=9), "2 series .*number 9 with 1 files"),
    "another direction": (changed(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]), "lie in different directions"),
    "no direction at all": (changed(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "different directions"),
    "no place": (removed("ImagePositionPatient"), "does not say where its slice lies"),
    "half a place": (changed(ImagePositionPatient=[1.0, 2.0]), "does not say where its slice lies"),
    "another size": (changed(Rows=10, Columns=12), "12 x 10 pixels and .* 10 x 12|10 x 12 pixels and .* 12 x 10"),
    "another modality": (changed(Modality="MR"), "differ in modality"),
    "colour": (changed(PhotometricInterpretation="RGB"), "is RGB; the slices of a volume are read in grey"),
    "frames inside": (changed(NumberOfFrames=3), "has 3 frames by itself: pass that file"),
    "two patients": (changed(PatientID="another"), r"are of two patients \(PatientID\)"),
    "two frames of reference": (changed(FrameOfReferenceUID="1.2.4"), "have different frames of reference"),
    "other pixels": (changed(PixelSpacing=[0.7, 0.8]), r"\[0.7, 0.8\].*; pass files of one PixelSpacing"),
    "another stack's slice": (
        changed(ImagePositionPatient=[4.0, -6.0, -34]),
        "lies 9.0 mm beside the line of the other",
    ),
    "one missing": (lambda datasets: datasets.pop(2), r"missing in 1 places: none lies between -37.00 and -31.00 mm"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_series_say_what_is_wrong(name, tmp_path):
    change, said = BROKEN[name]
    datasets = slices()
    change(datasets)
    with pytest.raises(UnreadableImageError, match=said):
        read_volume(written(tmp_path / "a", datasets))


@pytest.mark.parametrize(
    ("places", "gaps"), [([0, 1, 3], 1), ([0, 1, 2, 4, 6], 2), ([0, 1, 2, 3, 5, 7, 9], 3), ([0, 2, 4, 6, 7], 0)]
)
def test_the_usual_distance_is_the_smaller_of_the_two_in_the_middle(tmp_path, places, gaps):
    """Their mean would call half of a series with every second slice missing whole."""
    datasets = slices(len(places))
    for one, place in zip(datasets, places, strict=True):
        one.ImagePositionPatient = [0, 0, place]
    folder = written(tmp_path / "a", datasets)
    if gaps:
        with pytest.raises(UnreadableImageError, match=f"missing in {gaps} places"):
            read_volume(folder)
    assert read_volume(folder, allow_gaps=True).spacing == (1 if gaps else 2)


def test_two_slices_far_beside_each_other_are_no_leaning_gantry(tmp_path):
    datasets = slices(2)
    datasets[1].ImagePositionPatient = [500.0, -6.0, -37.0]
    with pytest.raises(UnreadableImageError, match="beside the line of the other slices"):
        read_volume(written(tmp_path / "a", datasets))


def test_a_slice_without_suffix_and_preamble_is_not_dropped(tmp_path):
    folder = written(tmp_path / "a", slices(4))
    for number, path in enumerate(sorted(folder.iterdir())):
        path = path.rename(folder / f"IM{number}")
        if number == 3:
            path.write_bytes(path.read_bytes()[132:])
    (folder / "README").write_text("not a slice")
    assert len(read_volume(folder)) == 4
    (folder / "IM4").touch()
    with pytest.raises(UnreadableImageError, match="IM4 is empty: a slice that was cut short"):
        read_volume(folder)


def test_damaged_files_are_refused_with_a_reason(tmp_path):
    datasets = slices(3)
    folder = written(tmp_path / "a", datasets)
    victim = sorted(folder.iterdir())[1]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-50])
    with pytest.raises(UnreadableImageError, match="cut short"):
        stack(read_volume(folder))
    for length in range(140, len(whole) - 300, 97):  # somewhere in the header
        victim.write_bytes(whole[:length])
        with pytest.raises(UnreadableImageError):
            stack(read_volume(folder))


def test_a_report_and_a_discs_index_in_the_folder_are_passed_over(tmp_path):
    folder = written(tmp_path / "a", slices(3))
    shutil.copy(get_testdata_file("test-SR.dcm"), folder / "report.dcm")
    shutil.copy(REAL / "DICOMDIR", folder / "DICOMDIR")
    assert len(read_volume(folder)) == 3
    with pytest.raises(UnreadableImageError, match=r"report.dcm is no DICOM image; a list of files is one"):
        read_volume([folder / "report.dcm"])


def test_an_enhanced_file_of_one_frame_is_read_by_its_groups(tmp_path):
    files = [enhanced(1) for _ in range(3)]
    for number, file in enumerate(files):
        file.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [0, 0, number * 2.0]
    expected = [np.clip((file.pixel_array - 1000.0 - 399.5) / 1799 + 0.5, 0, 1) * 255 for file in files]

    alone = read_volume(as_bytes(files[1]), window="bone")
    np.testing.assert_allclose(stack(alone), expected[1:2], rtol=0, atol=1e-3)
    assert alone.positions.tolist() == [2.0]
    for file in files:
        file.SeriesInstanceUID = "1.2.3"
    series = read_volume(written(tmp_path / "a", files), window="bone")
    np.testing.assert_allclose(stack(series), expected, rtol=0, atol=1e-3)
    assert series.positions.tolist() == [0.0, 2.0, 4.0]


def test_a_file_of_a_whole_volume_may_be_larger_than_a_radiographs(monkeypatch, tmp_path):
    content = as_bytes(enhanced())
    (tmp_path / "a.dcm").write_bytes(content)
    pages = tiff(tmp_path / "a.tif", GREY)
    for module in (dicom_pedclip, reading_pedclip):
        monkeypatch.setattr(module, "MAX_BYTES", 1000)
    assert len(read_volume(tmp_path / "a.dcm")) == len(read_volume(pages)) == 4
    monkeypatch.setattr(volume_reading_pedclip, "MAX_VOLUME_BYTES", 1000)
    with pytest.raises(UnreadableImageError, match="at most 1000 are read"):
        read_volume(tmp_path / "a.dcm")


def test_frames_without_places_or_too_many_are_refused(monkeypatch):
    file = enhanced()
    del file.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    with pytest.raises(UnreadableImageError, match="frame 2 of 4 has no place"):
        read_volume(as_bytes(file))
    file = enhanced()
    file.NumberOfFrames = 100_000
    with pytest.raises(UnreadableImageError, match="100000 slices; at most 2048"):
        read_volume(as_bytes(file))
    file = enhanced()
    file.PixelData = file.PixelData[:300]
    with pytest.raises(UnreadableImageError, match="broken"):
        stack(read_volume(as_bytes(file)))


def test_without_pydicom_it_is_asked_for(tmp_path, monkeypatch):
    folder = written(tmp_path / "a", slices(2))
    monkeypatch.setattr("pedclip.processing.dicom_pedclip.pydicom", None)
    with pytest.raises(ImportError, match="pip install"):
        read_volume(folder)


# --- NIfTI ----------------------------------------------------------------------------------------------------------


def nifti(array: np.ndarray, affine: np.ndarray, path: Path, **header) -> Path:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(array, affine)
    for name, value in header.items():
        image.header[name] = value
    image.to_filename(path)
    return path


def test_a_real_nifti_file_is_read_as_nibabel_reads_it():
    nibabel = pytest.importorskip("nibabel")
    path = Path(nibabel.__file__).parent / "tests" / "data" / "anatomical.nii"
    if not path.is_file():
        pytest.skip("this build of nibabel brings no test files")
    image = nibabel.as_closest_canonical(nibabel.load(path))
    data = image.get_fdata()
    low, high = np.percentile(data, (0.5, 99.5), method="inverted_cdf")
    shown = np.clip((data - low) / (high - low), 0, 1) * 255

    axial, sagittal = read_volume(path), read_volume(path, plane="sagittal")

    assert (len(axial), axial.spacing) == (data.shape[2], pytest.approx(image.header.get_zooms()[2]))
    for number in range(len(axial)):  # up: the patient's front; left: the patient's right
        np.testing.assert_allclose(axial[number][0], shown[::-1, ::-1, number].T, rtol=0, atol=1e-2)
    for number in range(len(sagittal)):  # up: the head; left: the front
        np.testing.assert_allclose(sagittal[number][0], shown[number, ::-1, ::-1].T, rtol=0, atol=1e-2)
    with pytest.raises(UnreadableImageError, match=r"shape \(128, 96, 24, 2\); one volume has 3 axes"):
        read_volume(path.with_name("example4d.nii.gz"))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("turned", [False, True])
def test_dicom_and_nifti_of_one_volume_show_the_same_slices(tmp_path, plane, turned):
    """The same patient, written once as DICOM and once as NIfTI by their own definitions of left, front and head."""
    directions = {  # as scanners store them: along a row, along a column, their normal; x to the left, y to the back
        "axial": ([1, 0, 0], [0, 1, 0], [0, 0, 1]),
        "coronal": ([1, 0, 0], [0, 0, -1], [0, 1, 0]),
        "sagittal": ([0, 1, 0], [0, 0, -1], [-1, 0, 0]),
    }[plane]
    row, column, normal = map(np.array, directions)
    datasets = slices(4)
    for number, one in enumerate(datasets):
        one.ImageOrientationPatient = [*map(float, row), *map(float, column)]
        one.ImagePositionPatient = [float(x) for x in np.array([3.0, 4.0, 5.0]) + normal * number * 7.0]
    series = read_volume(written(tmp_path / "a", datasets), window="bone")

    hounsfield = np.stack([one.pixel_array.astype(np.int16) - 1000 for one in datasets])  # (S, H, W)
    array = hounsfield.transpose(2, 1, 0)  # along a row, along a column, along the slices
    axes = np.stack([row * 0.8, column * 0.8, normal * 7.0], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ axes  # NIfTI's x is to the right, its y to the front
    affine[:3, 3] = [-3, -4, 5]
    if turned:  # the same voxels stored the other way round
        array = array[::-1, :, ::-1]
        last = np.array([affine @ [array.shape[0] - 1, 0, array.shape[2] - 1, 1]])[0]
        affine = affine @ np.diag([-1, 1, -1, 1])
        affine[:, 3] = last
    volume = read_volume(nifti(np.ascontiguousarray(array), affine, tmp_path / "a.nii.gz"), window="bone")

    np.testing.assert_allclose(stack(volume), stack(series), rtol=0, atol=1e-3)
    assert volume.spacing == pytest.approx(series.spacing) == pytest.approx(7.0)


def test_niftis_scaling_and_empty_voxels(tmp_path):
    array = RNG.normal(size=(6, 5, 4)).astype(np.float32)
    array[0, 0, 0] = np.nan
    path = nifti(array, np.diag([1, 1, 3, 1]), tmp_path / "a.nii")
    kept = array[np.isfinite(array)]
    low, high = np.percentile(kept, (0.5, 99.5), method="inverted_cdf")
    expected = np.nan_to_num(np.clip((array - low) / (high - low), 0, 1) * 255)[::-1, ::-1].transpose(2, 1, 0)
    np.testing.assert_allclose(stack(read_volume(path)), expected, rtol=0, atol=1e-3)

    import nibabel

    image = nibabel.Nifti1Image(RNG.integers(0, 99, (6, 5, 4)).astype(np.int16), np.diag([1, 1, 3, 1]))
    image.header.set_slope_inter(2.0, -1024)
    image.to_filename(tmp_path / "b.nii")
    values = nibabel.load(tmp_path / "b.nii").get_fdata()[::-1, ::-1].transpose(2, 1, 0)
    expected = np.clip((values - 49.5) / 399 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(stack(read_volume(tmp_path / "b.nii", window="soft_tissue")), expected, atol=1e-3)


@pytest.mark.parametrize(("unit", "length"), [("meter", 0.001), ("micron", 1000.0), ("unknown", 1.0)])
def test_a_niftis_places_are_millimetres_whatever_its_unit(tmp_path, unit, length):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(np.zeros((6, 5, 4), np.int16), np.diag([length, length, 3 * length, 1]))
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").positions, [0, 3, 6, 9], rtol=1e-6)


def test_sheared_niftis_are_measured_along_their_slices_normal(tmp_path):
    affine = np.diag([1, 1, 3, 1.0])
    affine[1, 2] = 2.0  # each slice lies 2 mm further to the front, as from a leaning gantry
    assert read_volume(nifti(np.zeros((6, 5, 4), np.int16), affine, tmp_path / "a.nii")).spacing == pytest.approx(3)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_voxels_are_refused(tmp_path, value):
    array = RNG.normal(size=(6, 5, 4)).astype(np.float32)
    array[0, 0, 2] = value
    with pytest.raises(UnreadableImageError, match="slice 2 holds values that are not finite"):
        read_volume(nifti(array, np.eye(4), tmp_path / "a.nii"))
    pages = tiff(tmp_path / "a.tif", array.transpose(2, 1, 0).copy())
    with pytest.raises(UnreadableImageError, match="slice 2 holds values that are not finite"):
        read_volume(pages)


def test_broken_and_huge_niftis_are_refused(tmp_path):
    path = nifti(np.zeros((6, 5, 4), np.int16), np.eye(4), tmp_path / "a.nii.gz")
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[:-40]))
    with pytest.raises(UnreadableImageError, match="NIfTI file is broken"):
        read_volume(path)
    path.write_bytes(b"no nifti")
    with pytest.raises(UnreadableImageError, match="NIfTI file is broken"):
        read_volume(path)
    header = bytearray(whole)
    header[40:48] = np.array([3, 30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(header)))
    with pytest.raises(UnreadableImageError, match=r"\(30000, 30000, 30000\) voxels; at most"):
        read_volume(path)
    with pytest.raises(ValueError, match="plane is 'oblique'; it is one of axial, coronal, sagittal"):
        read_volume(path, plane="oblique")
    with pytest.raises(FileNotFoundError, match="there is no image file"):
        read_volume(tmp_path / "absent.nii")


def test_without_nibabel_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_reading_pedclip, "nibabel", None)
    (tmp_path / "a.nii").write_bytes(b"0" * 400)
    with pytest.raises(ImportError, match='pip install "nibabel>=5'):
        read_volume(tmp_path / "a.nii")


# --- TIFF, arrays, views --------------------------------------------------------------------------------------------


def tiff(path: Path, arrays) -> Path:
    first, *rest = [Image.fromarray(array) for array in arrays]
    first.save(path, "TIFF", save_all=True, append_images=rest)
    return path


def test_pages_of_a_tiff_are_slices_in_their_own_depth(tmp_path):
    volume = read_volume(tiff(tmp_path / "a.tif", GREY), spacing=1.5)
    np.testing.assert_array_equal(stack(volume), GREY)
    np.testing.assert_allclose(volume.positions, [0, 1.5, 3, 4.5])

    deep = RNG.integers(0, 65536, GREY.shape).astype(np.uint16)
    low, high = np.percentile(deep, (0.5, 99.5), method="inverted_cdf")
    expected = np.clip((deep.astype(np.float64) - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(stack(read_volume(tiff(tmp_path / "b.tif", deep))), expected, rtol=0, atol=1e-2)

    colour = RNG.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    volume = read_volume(tiff(tmp_path / "c.tif", colour))
    np.testing.assert_array_equal(np.stack([volume[n] for n in range(3)]), np.moveaxis(colour, -1, 1))
    with pytest.raises(ValueError, match="slices are in colour"):
        read_volume(tmp_path / "c.tif", window=(40, 80))[0]


def test_pages_of_different_sizes_and_broken_ones_are_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", [GREY[0], GREY[1][:10]])
    with pytest.raises(UnreadableImageError, match=r"page 1 is \(30, 20\) in mode L and page 2 \(30, 10\)"):
        read_volume(path)
    whole = tiff(tmp_path / "b.tif", GREY).read_bytes()
    with pytest.raises(UnreadableImageError, match="TIFF file is broken"):
        stack(read_volume(whole[: len(whole) // 2]))


def test_arrays_are_volumes_by_the_rule_of_images():
    np.testing.assert_array_equal(stack(read_volume(GREY)), GREY)
    np.testing.assert_array_equal(stack(read_volume(torch.from_numpy(GREY))), GREY)
    floats = RNG.uniform(0, 255, GREY.shape)
    np.testing.assert_allclose(stack(read_volume(floats)), floats, rtol=1e-6)
    hounsfield = RNG.integers(-1000, 1500, GREY.shape).astype(np.int16)
    expected = np.clip((hounsfield + 600.5) / 1499 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(stack(read_volume(hounsfield, window="lung")), expected, rtol=0, atol=1e-3)
    low, high = np.percentile(hounsfield, (0.5, 99.5), method="inverted_cdf")
    expected = np.clip((hounsfield - float(low)) / (float(high) - float(low)), 0, 1) * 255
    np.testing.assert_allclose(stack(read_volume(hounsfield)), expected, rtol=0, atol=1e-3)


def test_wide_integers_and_half_precision_are_read_as_images_are():
    for dtype in (np.int32, np.int64, np.uint64):
        np.testing.assert_array_equal(stack(read_volume(GREY.astype(dtype))), GREY)
    np.testing.assert_array_equal(stack(read_volume(torch.from_numpy(GREY).long())), GREY)
    np.testing.assert_array_equal(stack(read_volume(torch.from_numpy(GREY).to(torch.bfloat16))), GREY)
    assert read_volume(GREY.astype(np.int64) * 2).window == "percentiles"
    window = tuple(np.array([40, 400], np.float32))
    np.testing.assert_array_equal(stack(read_volume(GREY, window=window)), stack(read_volume(GREY, window=(40, 400))))


def test_a_large_volumes_percentiles_come_from_a_part_of_it(monkeypatch):
    values = np.random.default_rng(1).integers(-1000, 1000, (6, 40, 50)).astype(np.int16)
    whole = stack(read_volume(values))
    monkeypatch.setattr(volume_windows_pedclip, "LOOKED_AT", 3000)
    part = stack(read_volume(values))
    assert 0 < np.abs(part - whole).max() < 3


@pytest.mark.parametrize(
    ("source", "settings", "said"),
    [
        (np.zeros((2, 3, 4, 5), np.uint8), {}, r"shape \(2, 3, 4, 5\); a volume is \(slices, height, width\)"),
        (np.zeros((0, 4, 5), np.uint8), {}, r"shape \(0, 4, 5\)"),
        (np.zeros((2049, 1, 1), np.uint8), {}, "2049 slices; at most 2048 are read"),
        (np.zeros((2, 4, 5), complex), {}, "holds complex128; pixels are numbers"),
        (np.full((2, 4, 5), np.nan), {}, "slice 0 holds values that are not finite"),
        (np.zeros((64, 64, 3), np.uint8), {}, r"shape \(64, 64, 3\), like an image in colour"),
        (np.full((2, 4, 5), -600.0), {}, "slice 0 holds -600 to -600; .*from 0 to 255: give a window"),
        (np.full((2, 4, 5), 256.0), {}, "slice 0 holds 256 to 256"),
        (GREY, {"window": "brain"}, "window is 'brain'; it is one of lung, bone, soft_tissue, percentiles"),
        (GREY, {"window": (40, 0)}, "two numbers, the width above 1"),
        (GREY, {"spacing": -1.0}, "spacing is -1.0"),
        (GREY, {"plane": "axial"}, "only NIfTI is cut in planes"),
        (GREY[0], {"window": "lung"}, "the study is a single image, which has its own"),
        ([], {}, "the list of files is empty"),
        ([GREY], {}, "a list is one DICOM series, file by file"),
        (CT, {"spacing": 2.0}, "the file says itself where its slices lie"),
    ],
)
def test_what_does_not_fit_is_refused(source, settings, said):
    with pytest.raises(ValueError, match=said):
        read_volume(source, **settings)[0]


def test_views_keep_their_sizes_and_have_no_order(tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    colour = RNG.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    volume = read_views([tmp_path / "a.png", colour, GREY[1][:10]])

    np.testing.assert_array_equal(volume[0], GREY[:1])
    np.testing.assert_array_equal(volume[1], np.moveaxis(colour, -1, 0))
    assert volume[2].shape == (1, 10, 30)
    assert volume.positions.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="a study is a list of at least one image"):
        read_views([])
    with pytest.raises(ValueError, match="view 0 is not one image but several"):
        read_views([[GREY[0]], GREY[1]])[0]


# --- processor and pipeline -----------------------------------------------------------------------------------------


def test_the_processor_pads_studies_of_any_kind_to_the_longest(processor, tmp_path):
    Image.fromarray(GREY[0]).save(tmp_path / "film.png")
    studies = [CT, GREY, tmp_path / "film.png", read_views([GREY[0], GREY[1][:9]])]

    batch = processor(volumes=studies, text=["chest", "hand", "x - ray", "skull"])

    assert batch["pixel_values"].shape == (4, 5, 3, 32, 32)
    assert batch["slice_mask"].tolist() == [[n < count for n in range(5)] for count in (5, 4, 1, 2)]
    assert batch["slice_positions"][1].tolist() == [0, 1, 2, 3, 0] and not batch["slice_positions"][2:].any()
    np.testing.assert_allclose(batch["slice_positions"][0], [-1.2375, 1.2625, 3.7625, 6.2625, 8.7625], rtol=1e-6)
    assert len(batch["input_ids"]) == 4
    for number in range(4):
        alone = processor(images=GREY[number], return_tensors="pt").pixel_values
        torch.testing.assert_close(batch["pixel_values"][1, number], alone[0], rtol=0, atol=0)
    film = processor(images=tmp_path / "film.png", return_tensors="pt").pixel_values
    torch.testing.assert_close(batch["pixel_values"][2, 0], film[0], rtol=0, atol=0)
    assert not batch["pixel_values"][2, 1:].any()


def test_the_processor_takes_views_and_settings(processor):
    one = processor(views=[GREY[0], GREY[1]])
    two = processor(views=[[GREY[0], GREY[1]], [GREY[2]]], size={"height": 16, "width": 16})
    assert one["pixel_values"].shape == (1, 2, 3, 32, 32) and two["pixel_values"].shape == (2, 2, 3, 16, 16)
    assert two["slice_mask"].tolist() == [[True, True], [True, False]]
    lung, bone = (processor(volumes=CT, window=window)["pixel_values"] for window in ("lung", "bone"))
    assert (lung - bone).abs().max() > 0.2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"volumes": GREY, "images": GREY[0]}, "more than one was given"),
        ({"volumes": []}, "volumes is an empty list"),
        ({"images": GREY[0], "window": "lung"}, "window is 'lung', which is for volumes="),
        ({"volumes": GREY, "return_tensors": "np"}, "volumes come as torch tensors"),
        ({"images": np.zeros((32, 224, 224), np.uint8)}, r"image is 3-D \(32, 224, 224\); pass volumes="),
        ({"views": [GREY[0]], "window": "lung"}, "window is 'lung', which is for volumes="),
        ({"views": [GREY[0]], "spacing": 2.0}, "spacing is 2.0, which is for volumes="),
        ({"views": [GREY[0]], "plane": "axial"}, "plane is 'axial', which is for volumes="),
        ({"views": [GREY[0]], "allow_gaps": True}, "allow_gaps is True, which is for volumes="),
        ({"volumes": [GREY[0], GREY[1][:9]], "do_resize": False}, r"slice 0 of study 1 comes out as \(3, 9, 30\)"),
        ({"volumes": sorted(map(str, CT.iterdir()))}, r"2062 and 2392 are of one series .*the volumes, \[\[first"),
    ],
)
def test_the_processor_refuses_what_is_ambiguous(processor, given, said):
    with pytest.raises(ValueError, match=said):
        processor(**given)


def test_pages_of_an_open_image_are_asked_for_as_a_file(processor, tmp_path):
    with (
        Image.open(tiff(tmp_path / "a.tif", GREY)) as image,
        pytest.raises(UnreadableImageError, match=r"4 frames or pages; .* volumes=... with the path or the bytes"),
    ):
        processor(volumes=[image])


def test_the_processor_tells_series_apart_as_its_errors_say(processor):
    assert {len(paths) for paths in processor.series_in(CT).values()} == {5}


def test_in_half_precision_a_batch_keeps_its_places(processor):
    whole = processor(volumes=[CT], text=["chest"])
    half = processor(volumes=[CT], text=["chest"]).to(torch.bfloat16)
    assert half["pixel_values"].dtype == torch.bfloat16 and half["input_ids"].dtype == torch.long
    torch.testing.assert_close(half["slice_positions"], whole["slice_positions"], rtol=0, atol=0)
    assert processor(volumes=[CT]).to("meta")["slice_positions"].device.type == "meta"


def test_a_series_given_as_files_is_one_study(processor):
    files = processor(volumes=[sorted(map(str, CT.iterdir()))])
    torch.testing.assert_close(files["pixel_values"], processor(volumes=str(CT))["pixel_values"], rtol=0, atol=0)


def test_the_pipeline_answers_for_a_study(make_model, processor, tokenizer):
    model = make_model(text={"vocab_size": len(tokenizer)}, volume_pooling="attention")
    classify = PedCLIPZeroShotImageClassificationPipeline(model=model, processor=processor)
    labels = ["chest", "hand"]

    answers = classify([str(CT), GREY], candidate_labels=labels, volumes=True)

    with torch.no_grad():
        batch = processor(volumes=[CT, GREY], text=labels)
        expected = model(**batch).logits_per_image.softmax(-1)
    for answer, row in zip(answers, expected, strict=True):
        found = {one["label"]: one["score"] for one in answer}
        torch.testing.assert_close(torch.tensor([found[label] for label in labels]), row, rtol=0, atol=1e-5)
    lung = classify(str(CT), candidate_labels=labels, volumes=True, window="lung")
    assert {one["label"]: one["score"] for one in lung} != {one["label"]: one["score"] for one in answers[0]}
    with pytest.raises(ValueError, match="window is 'lung', which is for volumes=True"):
        classify(GREY[0], candidate_labels=labels, window="lung")
    with pytest.raises(ValueError, match="are of one series and were given as volumes of their own"):
        classify(sorted(map(str, CT.iterdir())), candidate_labels=labels, volumes=True)
    one = classify([sorted(map(str, CT.iterdir()))], candidate_labels=labels, volumes=True)
    assert one[0] == answers[0]
    with pytest.raises(ValueError, match="a study goes by itself"):
        classify([GREY, GREY], candidate_labels=labels, volumes=True, batch_size=2)


def test_the_pipeline_passes_on_how_volumes_are_read(make_model, processor, tokenizer, tmp_path):
    model = make_model(text={"vocab_size": len(tokenizer)}, volume_pooling="attention")
    with torch.no_grad():
        for parameter in model.slice_pooling.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    classify = PedCLIPZeroShotImageClassificationPipeline(model=model, processor=processor)
    labels = ["chest", "hand"]
    datasets = slices(5)
    datasets.pop(2)
    folder = str(written(tmp_path / "a", datasets))
    with pytest.raises(UnreadableImageError, match="allow_gaps=True"):
        classify(folder, candidate_labels=labels, volumes=True)
    assert len(classify(folder, candidate_labels=labels, volumes=True, allow_gaps=True)) == 2
    near, far = (classify(GREY, candidate_labels=labels, volumes=True, spacing=mm) for mm in (1.0, 9.0))
    assert near != far
    path = str(nifti(RNG.integers(0, 99, (6, 5, 4)).astype(np.int16), np.eye(4), tmp_path / "a.nii"))
    assert classify(path, candidate_labels=labels, volumes=True, plane="sagittal")
    with pytest.raises(ValueError, match="plane is 'axial', which is for volumes=True"):
        classify(GREY[0], candidate_labels=labels, plane="axial")


def test_one_slice_at_a_time_is_held(processor, tmp_path, monkeypatch):
    folder = written(tmp_path / "a", slices(6))
    alive, most = [], []
    read = dicom_series_pedclip.slice_values

    def counted(*arguments):
        import gc
        import weakref

        values = read(*arguments)
        gc.collect()
        alive[:] = [one for one in alive if one() is not None]
        alive.append(weakref.ref(values))
        most.append(len(alive))
        return values

    monkeypatch.setattr(dicom_series_pedclip, "slice_values", counted)
    processor(volumes=folder)
    assert len(most) == 6 and max(most) <= 2


def test_a_tiny_model_embeds_a_real_series(make_model, processor):
    model: PedCLIPModel = make_model(volume_pooling="attention")
    with torch.no_grad():
        out = model.get_image_features(**processor(volumes=CT))
    assert out.pooler_output.isfinite().all() and out.slice_attentions.sum() == pytest.approx(1)


def test_the_snippet_of_the_docs_prints_what_it_says(make_model, processor, tokenizer, tmp_path, capsys):
    docs = (Path(__file__).parents[2] / "docs" / "volume.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"<!-- snippet: volume -->\n```python\n(.*?)```\n```\n(.*?)```", docs, flags=re.DOTALL)
    code, printed = found
    make_model(text={"vocab_size": len(tokenizer)}).save_pretrained(tmp_path / "hub")
    processor.save_pretrained(tmp_path / "hub")
    Image.fromarray(GREY[0]).save(tmp_path / "film.png")
    for shown, here in {
        "runs/demo/hub": tmp_path / "hub",
        "ct_series/": CT,
        "film.png": tmp_path / "film.png",
    }.items():
        assert f'"{shown}"' in code
        code = code.replace(f'"{shown}"', repr(str(here)))
    exec(compile(code, "docs/volume.md", "exec"), {})
    assert capsys.readouterr().out == printed
