"""The phantom as voxels: against the film's closed forms, against slow geometry, and what a study's slices show."""

import numpy as np
import pytest

from pedclip.processing.phantom.anatomy.solids import Anatomy, Solid, ball
from pedclip.processing.phantom.materials import attenuation
from pedclip.processing.phantom.parts import PARTS
from pedclip.processing.phantom.projection import draw
from pedclip.processing.phantom.render import build_anatomy
from pedclip.processing.phantom.study import Clinic, Study, normal_twin, studies_of
from pedclip.processing.phantom.sweep import Pose
from pedclip.processing.phantom.volume import HU_RANGE, volume_of, voxelise

SIDE = 64


def study_of(part: str, finding: str | None = None, oldest: bool = False) -> Study:
    """The first study of one exam of this part whose only finding is this one."""
    clinic = Clinic(parts={part: 1.0}, exams=(1,), findings=(1, 0) if finding is None else (0, 1))
    for number in range(1000):
        for study in studies_of(11, number, clinic):
            found = [one.name for one in study.exams[0].findings]
            if found == ([finding] if finding else []) and not (oldest and study.patient.age_months < 60):
                return study
    raise AssertionError(f"no {part} with {finding}")


def anatomy_of(study: Study) -> Anatomy:
    return build_anatomy(study.patient, study.exams[0], study.seed)


@pytest.mark.parametrize("part", PARTS)
def test_summed_along_the_beam_the_voxels_are_the_film(part):
    """From babies to 17 years, findings and breaks included, also where one limb lies behind another."""
    clinic = Clinic(parts={part: 1.0}, exams=(1,), findings=(0.3, 0.7))
    ages = []
    for study in (study for number in range(15) for study in studies_of(7, number, clinic)):
        anatomy = anatomy_of(study)
        pose = Pose(rotation=7, zoom=1.1, shift=(0.03, -0.02), mirrored=study.exams[0].laterality == "left")
        film = draw(anatomy, pose, SIDE).depth
        everything = [*anatomy.skin, *anatomy.muscle, *anatomy.solids]
        depth = 2.1 * max(abs(point[2]) + np.max(solid.depth) for solid in everything for point in solid.path)
        projected = voxelise(anatomy, SIDE, depth, pose).projected()
        np.testing.assert_allclose(np.maximum(projected, 0), film, atol=2e-4)
        ages.append(study.patient.age_months)
    assert min(ages) < 24 and max(ages) > 180


def test_a_limb_behind_a_longer_path_is_not_there_and_its_muscle_is_moved_into_the_skin():
    """As on the film, which takes the longest path of each and cannot know which lies behind which."""
    anatomy = Anatomy(extent=(100.0, 100.0), energy=50.0)
    for middle, skin, muscle in ((-30.0, 20.0, 10.0), (25.0, 14.0, 12.0)):  # the thinner limb has more muscle
        line = ((0.0, -40.0, middle), (0.0, 40.0, middle))
        anatomy.skin.append(Solid(line, 15.0, skin, (0.0, 0.0), "fat", "air"))
        anatomy.muscle.append(Solid(line, 12.0, muscle, (0.0, 0.0), "soft", "fat"))
    voxels = voxelise(anatomy, 96, 100.0)
    ray = voxels.attenuation[48, :, 48]
    place = (np.arange(len(ray)) + 0.5) * voxels.mm - len(ray) * voxels.mm / 2
    fat, soft = attenuation("fat", 50.0), attenuation("soft", 50.0)
    np.testing.assert_allclose(ray[(place > -48) & (place < -36)], fat, rtol=1e-5)
    np.testing.assert_allclose(ray[(place > -32) & (place < -12)], soft, rtol=1e-5)
    np.testing.assert_allclose(ray[(place < -52) | (place > -8)], 0, atol=1e-9)


def test_finer_voxels_come_closer_to_the_film_along_rays_that_miss_their_middles():
    anatomy = anatomy_of(study_of("chest", "consolidation", oldest=True))
    film = draw(anatomy, Pose(), 96)
    errors = []
    for side in (37, 74, 148):
        voxels = voxelise(anatomy, side, 300.0)
        errors.append(np.abs(along_rays(voxels, 96, film.mm_per_pixel) - film.depth).mean() / film.depth.mean())
    assert errors[1] < 0.65 * errors[0] and errors[2] < 0.65 * errors[1]
    assert errors[2] < 0.02


def along_rays(voxels, side: int, mm_per_pixel: float) -> np.ndarray:
    """The slow way: a ray for each pixel of a film, a value every millimetre, linear between four voxels across it."""
    at = (np.arange(side) - (side - 1) / 2) * mm_per_pixel / voxels.mm + (voxels.attenuation.shape[0] - 1) / 2
    first = np.clip(np.floor(at).astype(int), 0, voxels.attenuation.shape[0] - 2)
    share = at - first
    steps = np.arange(0.5, voxels.attenuation.shape[1] * voxels.mm)
    total = np.zeros((side, side))
    for z in (steps / voxels.mm).astype(int):
        plane = voxels.attenuation[:, min(z, voxels.attenuation.shape[1] - 1)]
        rows = plane[first] * (1 - share)[:, None] + plane[first + 1] * share[:, None]
        total += rows[:, first] * (1 - share) + rows[:, first + 1] * share
    return total


def test_seen_from_the_side_the_voxels_are_the_lateral_film_as_far_as_that_is_exact():
    """Ellipsoids are exact from any side; for ribs and the like the lateral film's closed form is an approximation."""
    anatomy = Anatomy(extent=(100.0, 100.0))
    anatomy.flesh([(0, -40, 0), (0, 40, 0)], 30.0, 22.0)
    anatomy.organ("bone", **ball((8, -6, 5), (11, 17, 7), 25))
    voxels = voxelise(anatomy, 96, 100 / 0.92)
    film = draw(anatomy, Pose(turn=90), 96).depth
    seen = voxels.attenuation.sum(2) * voxels.mm  # (Y, Z)
    assert np.abs(seen - film).mean() < 0.01 * film.mean()
    chest = anatomy_of(study_of("chest", oldest=True))
    voxels = voxelise(chest, 96, max(chest.extent) / 0.92)
    film = draw(chest, Pose(turn=90), 96).depth
    seen = voxels.attenuation.sum(2) * voxels.mm
    assert seen.shape == film.shape and np.corrcoef(seen.ravel(), film.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("mirrored", [False, True])
def test_an_ellipsoid_whose_axis_leaves_the_picture_fills_the_voxels_inside_its_quadric(mirrored):
    ends, wide, deep = np.array([[-14.0, -12.0, -11.0], [14.0, 12.0, 11.0]]), 9.0, 15.0
    long = np.linalg.norm(ends[1] - ends[0]) / 2
    anatomy = Anatomy(extent=(100.0, 100.0), energy=50.0)
    anatomy.solids.append(Solid(tuple(map(tuple, ends)), wide, deep, (long, long), "soft", "air"))
    pose = Pose(rotation=20, mirrored=mirrored)
    voxels = voxelise(anatomy, 96, 80.0, pose)
    z = voxels.attenuation.shape[1]
    line = (np.arange(96) - 47.5) * voxels.mm
    across, down = np.meshgrid(line, line)
    turn = np.deg2rad(20)
    px, py = across * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - across * np.sin(turn)
    px = -px if mirrored else px
    pz = (np.arange(z) + 0.5) * voxels.mm - z * voxels.mm / 2
    along = (ends[1] - ends[0]) / (2 * long)
    right = np.array([-along[1], along[0], 0]) / np.hypot(along[0], along[1])
    points = np.stack(np.broadcast_arrays(px[:, None], py[:, None], pz[None, :, None]), -1)  # (Y, Z, X, 3)
    inside = (
        (points @ along / long) ** 2 + (points @ right / wide) ** 2 + (points @ np.cross(right, along) / deep) ** 2
    ) < 1
    share = voxels.attenuation / attenuation("soft", 50.0)
    assert share.sum() == pytest.approx(inside.sum(), rel=0.01)
    assert ((share > 0.5) != inside).sum() < 0.05 * inside.sum()  # about half of the surface's voxels could differ


def test_what_lies_deeper_than_the_grid_is_cut_off_and_a_turned_pose_is_refused():
    anatomy = Anatomy(extent=(100.0, 100.0), energy=50.0)
    anatomy.organ("soft", [(0, -40, 0), (0, 40, 0)], 20.0, 20.0, within="air")
    middle = voxelise(anatomy, SIDE, 10.0).projected()[SIDE // 2, SIDE // 2]
    assert middle == pytest.approx(10.0 * attenuation("soft", 50.0), rel=0.1)
    with pytest.raises(ValueError, match="turned by 90"):
        voxelise(anatomy, SIDE, 10.0, Pose(turn=90))


def test_a_consolidation_is_in_few_slices_and_its_normal_twin_is_the_same_child_without_it():
    study = study_of("chest", "consolidation")
    twin = normal_twin(study)
    assert twin is not None
    sick, well = (volume_of(one, pixels=48, slices=24, masks=True) for one in (study, twin))
    assert sick.hu.shape == (24, 48, 48) and sick.hu.dtype == np.int16 and not well.masks
    shows = sick.slices_with("consolidation")
    assert 1 <= shows.sum() <= 9 and np.diff(np.flatnonzero(shows)).max(initial=1) == 1
    changed = (sick.hu != well.hu).any((1, 2))
    assert changed[shows].all() and changed.sum() <= shows.sum() + 4
    inside = sick.masks["consolidation"]
    assert (sick.hu - well.hu)[inside].mean() > 50


def test_hounsfield_units_and_spacing_are_those_of_the_body():
    study = study_of("chest", oldest=True)
    volume = volume_of(study, pixels=64, slices=32)
    assert HU_RANGE[0] <= volume.hu.min() and volume.hu.max() <= HU_RANGE[1]
    anatomy = anatomy_of(study)
    assert 32 * volume.spacing[0] == pytest.approx(max(anatomy.extent) / 0.92, rel=0.02)
    assert volume.spacing[1] == volume.spacing[2] > 2
    assert np.median(volume.hu[:, :3]) == pytest.approx(-1000, abs=20)  # air before the child
    soft = volume.hu[(volume.hu > -100) & (volume.hu < 150)]
    assert 20 < np.median(soft) < 80
    lung = volume.hu[19][volume.hu[19] < -300]
    assert lung.size and (np.abs(lung + 730) < 150).sum() > 50


def test_the_sternum_lies_above_the_spine_and_the_right_side_is_on_the_left():
    study = study_of("chest", "consolidation")
    volume = volume_of(study, pixels=64, slices=24, masks=True)
    mask = volume.masks["consolidation"]
    side = study.exams[0].findings[0].place.split()[0]
    columns = np.flatnonzero(mask.any((0, 1)))
    assert (columns.mean() < 32) == (side == "right")
    bone = volume.hu[13] > 250
    rows = np.flatnonzero(bone[:, 30:34].any(1))
    assert (volume.hu[13][: rows.min()].max() < 250) and bone[rows.max() - 2 : rows.max() + 1].sum() > bone[
        rows.min() : rows.min() + 3
    ].sum()  # a vertebra is larger than the sternum


@pytest.mark.parametrize("size", [{"pixels": 8}, {"slices": 1}])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(ValueError, match="16 to 512 pixels"):
        volume_of(study_of("chest"), **size)
