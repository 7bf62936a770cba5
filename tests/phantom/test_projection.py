"""Closed forms against marching along rays through the very same solids, in float64."""

import numpy as np
import pytest

from pedclip.processing.phantom.anatomy.solids import Anatomy, Break, Solid, ball
from pedclip.processing.phantom.materials import attenuation
from pedclip.processing.phantom.projection import draw, thickness
from pedclip.processing.phantom.sweep import Pose, project

SIDE, EXTENT = 96, (100.0, 100.0)


def chords(solid: Solid, turn: float = 0.0, rotation: float = 0.0) -> np.ndarray:
    return thickness(project([solid], EXTENT, Pose(turn=turn, rotation=rotation), SIDE), 0, SIDE)


def rays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y of every pixel in mm (S, S), and steps along the beam (Z,)."""
    pitch = max(EXTENT) / (0.92 * SIDE)
    line = (np.arange(SIDE) - (SIDE - 1) / 2) * pitch
    return *np.meshgrid(line, line), np.arange(-60, 60, 0.1)


@pytest.mark.parametrize("turn", [0, 25, 60, 90])
@pytest.mark.parametrize("tilt", [0, 35])
def test_an_ellipsoid_at_any_angle_is_exact(turn, tilt):
    half = (12.0, 28.0, 19.0)
    found = chords(Solid(**ball((3.0, -4.0, 5.0), half, tilt), material="soft", within="air"), turn)
    x, y, steps = rays()
    angle, lean = np.deg2rad(turn), np.deg2rad(tilt)
    # the viewer's coordinates back to the part's, then to the ellipsoid's own
    px = x[..., None] * np.cos(angle) - steps * np.sin(angle) - 3.0
    pz = x[..., None] * np.sin(angle) + steps * np.cos(angle) - 5.0
    py = (y + 4.0)[..., None]
    across, along = px * np.cos(lean) + py * np.sin(lean), -px * np.sin(lean) + py * np.cos(lean)
    inside = (across / half[0]) ** 2 + (along / half[1]) ** 2 + (pz / half[2]) ** 2 < 1
    marched = inside.sum(-1) * 0.1
    assert np.abs(found - marched).mean() < 0.06
    assert found.sum() == pytest.approx(marched.sum(), rel=0.01)


def test_a_tapering_tube_in_the_pictures_plane_is_two_b_root_one_minus_v_over_a_squared():
    tube = Solid(((0, -40, 0), (0, 40, 0)), [6.0, 16.0], [10.0, 4.0], (0.0, 0.0), "soft", "air")
    found = chords(tube)
    x, y, _ = rays()
    share = (y + 40) / 80
    a, b = 6 + 10 * share, 10 - 6 * share
    slow = np.where(np.abs(y) < 40, 2 * b * np.sqrt(np.clip(1 - (x / a) ** 2, 0, None)), 0)
    edge = np.abs(np.abs(y) - 40) < 1.2
    assert np.abs(found - slow)[~edge].mean() < 0.02 and np.abs(found - slow)[~edge].max() < 1.5


def test_turning_the_picture_keeps_the_volume():
    tube = Solid(((-20, -25, 0), (0, 5, 0), (22, 20, 0)), 6.0, 6.0, (4.0, 4.0), "soft", "air")
    volumes = [chords(tube, rotation=angle).sum() for angle in (0, 30, 90, 200)]
    assert volumes == pytest.approx([volumes[0]] * 4, rel=0.01)


def test_cortex_and_marrow_add_up_to_beers_law():
    energy = 50.0
    anatomy = Anatomy(extent=EXTENT, energy=energy)
    anatomy.muscle.append(Solid(((0, -60, 0), (0, 60, 0)), 60.0, 30.0, (0, 0), "soft", "air"))
    anatomy.bone("femur", [(0, -50, 0), (0, 50, 0)], 12.0, 12.0, 3.0, caps=(0, 0))
    depth = draw(anatomy, Pose(), SIDE).depth
    middle = depth[SIDE // 2 - 1 : SIDE // 2 + 1, SIDE // 2 - 1 : SIDE // 2 + 1].mean()
    soft, bone, marrow = (attenuation(name, energy) for name in ("soft", "bone", "marrow"))
    assert middle == pytest.approx((60 - 24) * soft + 6 * bone + 18 * marrow, rel=0.01)


def test_several_soft_parts_are_united_and_not_added():
    one, two = Anatomy(extent=EXTENT), Anatomy(extent=EXTENT)
    for anatomy, times in ((one, 1), (two, 2)):
        for _ in range(times):
            anatomy.flesh([(0, -40, 0), (0, 40, 0)], 20.0, 20.0)
    np.testing.assert_array_equal(draw(one, Pose(), SIDE).depth, draw(two, Pose(), SIDE).depth)


def test_a_bones_mask_is_where_its_chord_is():
    anatomy = Anatomy(extent=EXTENT)
    anatomy.flesh([(0, -40, 0), (0, 40, 0)], 20.0, 20.0)
    number = anatomy.bone("ulna", [(-10, -30, 0), (15, 30, 0)], 7.0, 7.0, 1.5)
    drawn = draw(anatomy, Pose(rotation=20), SIDE, masks=True)
    found = thickness(project(anatomy.solids, EXTENT, Pose(rotation=20), SIDE), number, SIDE) > 0
    assert set(drawn.masks) == {"ulna"} and (drawn.masks["ulna"] != found).mean() < 1e-3


@pytest.mark.parametrize(
    ("material", "energy", "expected"),
    [
        ("soft", 60.0, 0.02150),
        ("bone", 60.0, 0.06044),
        ("bone", 40.0, 0.12778),
        ("fat", 50.0, 0.02017),
        ("air", 50.0, 0.0),
    ],
)
def test_attenuation_is_nists_at_the_tabulated_energies(material, energy, expected):
    assert attenuation(material, energy) == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_attenuation_lies_between_the_tabulated_energies_and_unknown_materials_are_named():
    assert attenuation("bone", 60) < attenuation("bone", 55) < attenuation("bone", 50)
    with pytest.raises(ValueError, match="unobtainium"):
        attenuation("unobtainium", 50)


@pytest.mark.parametrize("turn", [0, 40, 90])
def test_an_ellipsoid_whose_axis_leaves_the_picture_has_the_chord_of_its_quadric(turn):
    """The slow version solves the quadratic equation of a ray and the ellipsoid, in float64."""
    ends, wide, deep = np.array([[-14.0, -12.0, -11.0], [14.0, 12.0, 11.0]]), 9.0, 15.0
    long = np.linalg.norm(ends[1] - ends[0]) / 2
    solid = Solid(tuple(map(tuple, ends)), wide, deep, (long, long), "soft", "air")
    along = (ends[1] - ends[0]) / (2 * long)
    across = np.array([-along[1], along[0], 0]) / np.hypot(along[0], along[1])
    axes = np.stack([across / wide, np.cross(along, across) / deep, along / long])
    angle = np.deg2rad(turn)
    right, beam = np.array([np.cos(angle), 0, np.sin(angle)]), np.array([-np.sin(angle), 0, np.cos(angle)])
    x, y, _ = rays()
    origin = (x[..., None] * right + y[..., None] * np.array([0, 1.0, 0])) @ axes.T
    way = axes @ beam
    a, b, c = way @ way, origin @ way, (origin**2).sum(-1) - 1
    slow = 2 * np.sqrt(np.maximum(b**2 - a * c, 0)) / a
    found = chords(solid, turn)
    assert np.abs(found - slow).max() < 0.08 * slow.max()  # at the rim, where the tables' steps show
    assert np.abs(found - slow)[slow > 0.3 * slow.max()].max() < 0.02 * slow.max()
    assert found.sum() == pytest.approx(slow.sum(), rel=0.003)


def broken(**changes) -> Anatomy:
    anatomy = Anatomy(extent=EXTENT)
    number = anatomy.bone("ulna", [(-8, -40, 0), (6, 40, 3)], 7.0, 6.0, 1.5)
    lines = {
        "at": 0.5, "slope": 0.7, "width": 3.0, "depth": 0.9, "reach": (-1.1, 0.3), "step": (0.0, 0.0, 0.0),
        "bulge": 0.0, "spread": 25.0, "waves": (0.5, 0.3, 2.0),
    }  # fmt: skip
    anatomy.breaks.append(Break(number, **lines | changes))
    return anatomy


def test_a_break_takes_bone_away_only_near_its_line():
    anatomy = broken(slope=0.0, reach=(-1.1, 1.1))
    after = draw(anatomy, Pose(), SIDE).depth
    anatomy.breaks.clear()
    before = draw(anatomy, Pose(), SIDE).depth
    lost = before - after
    assert lost.min() >= 0
    rows = np.flatnonzero(lost.max(1) > 1e-5)
    pitch = max(EXTENT) / (0.92 * SIDE)
    assert len(rows) * pitch < 3.0 + 2 * 0.5 + 14 * 14 / 80 + 3 * pitch  # width, waves, the bone's own lean, pixels
    assert abs(rows.mean() - (SIDE - 1) / 2) < 1.5
    assert lost[rows].sum() > 0.2 * before[rows].sum()


@pytest.mark.parametrize("step", [(0.0, 0.0, 0.0), (6.0, 0.0, 2.0)])
def test_a_left_sided_part_is_the_mirror_image_of_a_right_sided_one_fracture_and_all(step):
    right, left = (
        draw(broken(step=step), Pose(turn=10, mirrored=mirrored), SIDE, masks=True) for mirrored in (False, True)
    )
    np.testing.assert_allclose(left.depth, right.depth[:, ::-1], atol=1e-4)
    assert (left.masks["ulna"] != right.masks["ulna"][:, ::-1]).mean() < 1e-3


def test_a_displaced_fracture_turns_with_the_picture():
    upright, lying = (draw(broken(step=(6.0, 0.0, 2.0)), Pose(rotation=angle), SIDE).depth for angle in (0, 90))
    np.testing.assert_allclose(lying, np.rot90(upright, -1), atol=1e-4)


def test_what_lies_outside_the_film_and_an_anatomy_without_anything_are_drawn_as_air():
    empty = Anatomy(extent=EXTENT)
    assert not draw(empty, Pose(), SIDE).depth.any()
    empty.flesh([(0, 300, 0), (0, 400, 0)], 20.0, 20.0)
    empty.bone("femur", [(300, 300, 0), (300, 400, 0)], 10.0, 10.0, 2.0)
    assert not draw(empty, Pose(), SIDE).depth.any()


@pytest.mark.parametrize("energy", [33.0, 44.7, 71.0])
def test_attenuation_between_the_tabulated_energies_is_a_straight_line_on_double_logarithmic_paper(energy):
    table = {30: 1.3310, 40: 0.6655, 50: 0.4242, 60: 0.3148, 80: 0.2229}  # cm2/g of cortical bone, NIST
    low, high = max(one for one in table if one <= energy), min(one for one in table if one > energy)
    share = np.log(energy / low) / np.log(high / low)
    expected = table[low] ** (1 - share) * table[high] ** share * 1.92 / 10
    assert attenuation("bone", energy) == pytest.approx(expected, rel=1e-6)
