"""The detector: Beer-Lambert, noise that follows the dose, twelve bits, collimation and the marker."""

from dataclasses import replace

import numpy as np
import pytest

from pedclip.processing.phantom.film import Exposure, expose, quanta
from pedclip.processing.phantom.growth import draw_patient, length_scale, ossification

SIDE = 128
PLAIN = Exposure(blur=0.05, scatter=0.0)


def slab(depth: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full((SIDE, SIDE), depth, np.float32), np.full((SIDE, SIDE), 100.0, np.float32)


def test_a_thicker_slab_lets_through_what_beer_and_lambert_say():
    """Automatic exposure equalises the mean, so two thicknesses stand side by side."""
    depth, tissue = slab(1.0)
    depth[:, SIDE // 2 :] = 2.5
    expected = quanta(depth, tissue, PLAIN)
    left, right = expected[20:100, 20:44].mean(), expected[20:100, 84:108].mean()
    assert np.log(left / right) == pytest.approx(1.5, rel=0.01)


@pytest.mark.parametrize("dose", [1.0, 1 / 4, 1 / 16])
def test_the_variance_of_the_counts_is_their_mean_and_relative_noise_falls_with_the_dose(dose):
    depth, tissue = slab(1.5)
    mean = quanta(depth, tissue, replace(PLAIN, dose=dose))
    assert mean.mean() == pytest.approx(1000 * dose, rel=0.01)
    counts = np.stack([np.random.default_rng(seed).poisson(mean) for seed in range(30)])
    assert counts.var(0, ddof=1).mean() / counts.mean() == pytest.approx(1, rel=0.03)


def test_a_quarter_of_the_dose_doubles_the_noise_of_the_film():
    depth, tissue = slab(1.0)
    depth[:, SIDE // 2 :] = 3.0  # contrast enough that the window hardly depends on the noise
    spreads = []
    for dose in (1.0, 0.25):
        films = np.stack([expose(depth, tissue, replace(PLAIN, dose=dose, seed=s)) for s in range(6)]).astype(float)
        spreads.append(films[:, 30:90, 20:44].std(0).mean())
    assert spreads[1] / spreads[0] == pytest.approx(2, rel=0.25)


def test_a_film_has_twelve_bits_and_the_same_seed_gives_the_same_film():
    depth, tissue = slab(1.0)
    one, same, other = (expose(depth, tissue, replace(PLAIN, seed=seed)) for seed in (3, 3, 4))
    assert one.dtype == np.uint16 and one.max() <= 4095
    assert (one == same).all() and (one != other).any()


def test_blur_keeps_the_signal_and_scatter_adds_to_it():
    depth, tissue = slab(2.0)
    depth[60:68, 60:68] = 0.5
    sharp, soft, scattered = (
        quanta(depth, tissue, exposure) for exposure in (PLAIN, replace(PLAIN, blur=1.5), replace(PLAIN, scatter=0.4))
    )
    assert soft.sum() == pytest.approx(sharp.sum(), rel=1e-3)
    assert soft.max() < sharp.max()
    assert sharp.max() / sharp.min() > scattered.max() / scattered.min()


def test_the_marker_and_the_blades_show_where_they_are():
    depth, tissue = slab(1.0)
    plain = expose(depth, tissue, PLAIN)
    marked = expose(depth, tissue, replace(PLAIN, marker=("L", 0.2, 0.2, 0.08)))
    changed = np.argwhere(plain != marked)
    assert len(changed) and (np.abs(changed - 0.2 * SIDE) < 12).all()
    for shutter, value in ((True, 0), (False, 4000)):
        cut = expose(depth, tissue, replace(PLAIN, blades=(0.25, 0.0, 1.0, 1.0), shutter=shutter))
        assert abs(int(cut[64, 5]) - value) < 100


def test_children_grow_and_girls_ossify_earlier():
    random = np.random.default_rng(0)
    patient = replace(draw_patient("p", random), sex="male", stature=0.0)
    lengths = [length_scale(replace(patient, age_months=months)) for months in range(0, 216, 12)]
    assert lengths == sorted(lengths) and 0.25 < lengths[0] < 0.35 and lengths[-1] > 0.97
    boy = replace(patient, bone_age_months=60.0)
    assert ossification(boy, 6, 12) == 0 and ossification(boy, 1, 4) == 1
    assert ossification(boy, 4, 8) == pytest.approx(0.25)
    assert ossification(replace(boy, sex="female"), 4, 8) > ossification(boy, 4, 8)


def test_relative_noise_of_the_counts_falls_as_one_over_the_dose():
    depth, tissue = slab(1.5)
    relative = []
    for dose in (1.0, 1 / 4, 1 / 16):
        mean = quanta(depth, tissue, replace(PLAIN, dose=dose))
        counts = np.stack([np.random.default_rng(seed).poisson(mean) for seed in range(20)])
        relative.append((counts.var(0, ddof=1) / counts.mean(0) ** 2).mean())
    assert relative[1] / relative[0] == pytest.approx(4, rel=0.05)
    assert relative[2] / relative[0] == pytest.approx(16, rel=0.05)


def test_the_dose_changes_the_noise_and_not_what_is_expected():
    depth, tissue = slab(1.0)
    depth += np.random.default_rng(0).uniform(0, 1, depth.shape).astype(np.float32)
    one, quarter = (quanta(depth, tissue, replace(PLAIN, dose=dose)) for dose in (1.0, 0.25))
    np.testing.assert_allclose(quarter, one / 4, rtol=1e-5)


def test_finer_pixels_share_the_same_quanta():
    fine = quanta(np.ones((256, 256), np.float32), np.full((256, 256), 100.0, np.float32), PLAIN)
    assert fine.sum() == pytest.approx(quanta(*slab(1.0), PLAIN).sum(), rel=1e-3)


def test_a_blurred_line_is_the_gaussian_of_the_asked_width():
    """Against a convolution written out, in float64, away from the borders."""
    depth, tissue = slab(3.0)
    depth[:, 60] = 1.0
    sharp, soft = (quanta(depth, tissue, replace(PLAIN, blur=blur)).astype(float) for blur in (0.05, 1.5))
    row = sharp[64] / sharp[64, 20]
    weights = np.exp(-0.5 * (np.arange(-10, 11) / 1.5) ** 2)
    slow = np.convolve(row, weights / weights.sum(), "same")
    np.testing.assert_allclose((soft[64] / soft[64, 20])[30:90], slow[30:90], rtol=1e-3)
