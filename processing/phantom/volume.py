"""The phantom before its projection: the same solids on a grid of voxels, and slices of them as a CT shows them.

The middle of the beam's path through a solid has a closed form too, so each solid is laid in between two depths with
the share of every voxel that it fills: along the beam nothing is sampled, and the sum along it is the film's line
integral. CT is a stated simplification: no reconstruction, one effective energy, noise that knows no anatomy.
"""

# Shapes: Y rows of the film, X columns, Z cells along the beam, S slices, P pixels a side, N solids, Q pairs
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .anatomy.solids import Anatomy, Break, Solid
from .materials import attenuation
from .projection import lookup, pairs
from .records import Study
from .render import build_anatomy, stream
from .sweep import Pose, displace, displaced_middle, gap_share, middles, project

CT_ENERGY = 70.0  # keV, effective, of a 120 kV tube
HU_RANGE = (-1024, 3071)  # 12 bits
HU_NOISE = 25.0  # standard deviation in a voxel as fine as the pictures' pixels, 5 mm thick
THICKNESS = 5.0  # mm, for HU_NOISE
PIXELS, SLICES = 64, 24
FINE = 2  # voxels are sampled so many times finer across the picture, and averaged
LEAST_MM2 = 20.0  # a slice shows a finding if so much of it lies in the slice


@dataclass(frozen=True)
class Voxels:
    """An anatomy on a grid: (Y, Z, X), head first, front last, the picture's left first; all edges equal."""

    attenuation: np.ndarray  # (Y, Z, X) float32, mm-1
    marks: dict[str, np.ndarray]  # finding -> (Y, Z, X) share of the voxel that its outline fills
    mm: float  # edge of a voxel

    def projected(self) -> np.ndarray:
        """The line integrals of a frontal film (Y, X)."""
        return self.attenuation.sum(1) * self.mm


@dataclass(frozen=True)
class Volume:
    """A study's slices with their truth. Row 0 of a slice is the patient's front, column 0 the picture's left."""

    hu: np.ndarray  # (S, P, P) int16, Hounsfield units, the lowest slice first, as DICOM series are read
    masks: dict[str, np.ndarray]  # finding -> (S, P, P) bool: at least half of the voxel; empty unless asked for
    areas: dict[str, np.ndarray]  # finding -> (S,) mm2 of a slice that its outline fills on average; as the masks
    spacing: tuple[float, float, float]  # mm: from slice to slice, row to row, column to column

    def slices_with(self, finding: str) -> np.ndarray:
        """(S,) bool: the slices that show at least LEAST_MM2 of a finding."""
        return self.areas[finding] >= LEAST_MM2


def voxelise(
    anatomy: Anatomy,
    side: int,
    depth: float,
    pose: Pose | None = None,
    energy: float | None = None,
    marks: bool = False,
) -> Voxels:
    """The anatomy on the pixels of a frontal film of `side` pixels, and as deep as `depth` mm about the middle.

    `energy` in keV is the anatomy's own unless given. What lies deeper than `depth` is cut off.
    """
    pose = pose or Pose()
    energy = anatomy.energy if energy is None else energy
    mm = max(anatomy.extent) / (0.92 * side * pose.zoom)
    grid = _Grid(side, max(1, round(depth / mm)), mm)
    mu = _flesh(grid, anatomy, pose, attenuation("fat", energy), attenuation("soft", energy))
    if anatomy.solids:
        laid = _laid(grid, anatomy.solids, anatomy, pose, anatomy.breaks)
        outer = [s.mineral * (attenuation(s.material, energy) - attenuation(s.within, energy)) for s in anatomy.solids]
        inner = [
            0.0 if s.cortex is None else s.mineral * (attenuation(s.marrow, energy) - attenuation(s.material, energy))
            for s in anatomy.solids
        ]
        hollow = np.flatnonzero(laid.inner_half)
        weights = np.array(outer, np.float32).take(laid.number), np.array(inner, np.float32).take(laid.number[hollow])
        mu += grid.filled(
            np.concatenate([laid.pixel, laid.pixel[hollow]]),
            np.concatenate([laid.middle, laid.middle[hollow]]),
            np.concatenate([laid.half, laid.inner_half[hollow]]),
            np.concatenate([laid.left * weights[0], laid.left[hollow] * weights[1]]),
        )
    found = {}
    for name in dict.fromkeys(name for name, _ in anatomy.marks) if marks else ():
        laid = _laid(grid, [solid for other, solid in anatomy.marks if other == name], anatomy, pose)
        found[name] = grid.filled(laid.pixel, laid.middle, laid.half, np.ones_like(laid.half)).clip(0, 1)
    return Voxels(grid.upright(mu), {name: grid.upright(share) for name, share in found.items()}, mm)


def volume_of(
    study: Study,
    number: int = 0,
    *,
    pixels: int = PIXELS,
    slices: int = SLICES,
    masks: bool = False,
    anatomy: Anatomy | None = None,
) -> Volume:
    """Axial slices of exam `number`, in Hounsfield units: the child of the films in a scanner, findings and all.

    `anatomy` saves building it again. A sick child's volume and its normal twin's differ by the finding alone.
    """
    if not 16 <= pixels <= 512 or not 2 <= slices <= 1024:
        raise ValueError(f"pixels is {pixels} and slices {slices}; a volume has 16 to 512 pixels and 2 to 1024 slices")
    exam = study.exams[number]
    if anatomy is None:
        anatomy = build_anatomy(study.patient, exam, study.seed)
    random = stream(study.seed, exam, "CT")
    rotation, x, y = np.clip(random.normal(size=3), -2.3, 2.3)
    pose = Pose(
        rotation=3.0 * float(rotation), shift=(0.02 * float(x), 0.01 * float(y)), mirrored=exam.laterality == "left"
    )
    field = max(anatomy.extent[0] / 0.92, 2 * _reach(anatomy.skin))  # mm, of a slice's side
    side = max(round(max(anatomy.extent) / 0.92 * pixels * FINE / field), slices)
    voxels = voxelise(anatomy, side, field, pose, CT_ENERGY, masks)
    along = _averaging(side, slices, side)[::-1]  # from the foot to the head
    across = _averaging(side, pixels, field / voxels.mm)
    deep = _averaging(voxels.attenuation.shape[1], pixels, field / voxels.mm)[::-1]  # the front is up

    def sliced(values: np.ndarray) -> np.ndarray:
        return deep @ np.tensordot(along, values, 1) @ across.T

    spacing = (side * voxels.mm / slices, field / pixels, field / pixels)
    hu = 1000 * (sliced(voxels.attenuation) / attenuation("water", CT_ENERGY) - 1)
    hu += HU_NOISE * (THICKNESS / spacing[0]) ** 0.5 * random.standard_normal(hu.shape, dtype=np.float32)
    hu = np.clip(np.rint(hu), *HU_RANGE).astype(np.int16)
    shares = {name: sliced(share) for name, share in voxels.marks.items()}
    areas = {name: share.sum((1, 2)) * spacing[1] * spacing[2] for name, share in shares.items()}
    return Volume(hu, {name: share > 0.5 for name, share in shares.items()}, areas, spacing)


def _reach(solids: Sequence[Solid]) -> float:
    """mm from the middle to what lies farthest to the front or the back."""
    return max(max(abs(point[2]) for point in solid.path) + float(np.max(solid.depth)) for solid in solids)


def _averaging(fine: int, coarse: int, window: float) -> np.ndarray:
    """(coarse, fine): means over equal parts of the middle `window` of so many fine cells; outside them is nothing."""
    edges = (fine - window) / 2 + np.linspace(0, window, coarse + 1)
    cell = np.arange(fine)
    low, high = np.maximum(edges[:-1, None], cell), np.minimum(edges[1:, None], cell + 1)
    return (np.maximum(high - low, 0) * coarse / window).astype(np.float32)


# ---- from solids to voxels


@dataclass(frozen=True)
class _Laid:
    """Every pair of a pixel and a solid that it meets, and where along the beam."""

    pixel: np.ndarray  # (Q,)
    number: np.ndarray  # (Q,) of the solid
    middle: np.ndarray  # (Q,) mm along the beam
    half: np.ndarray  # (Q,) mm: half of the path through the solid
    inner_half: np.ndarray  # (Q,) and through what its cortex encloses
    left: np.ndarray  # (Q,) share that fractures leave


@dataclass(frozen=True)
class _Grid:
    side: int
    cells: int
    mm: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.cells, self.side**2

    def filled(self, pixel: np.ndarray, middle: np.ndarray, half: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """(Z, YX): the sum of the weights, times the share of each cell between middle - half and middle + half."""
        plane = self.side**2
        places, steps = [], []
        for edge, sign in ((middle - half, 1.0), (middle + half, -1.0)):
            at = np.clip(edge / self.mm + self.cells / 2, 0, self.cells)
            first = at.astype(np.int64)
            rest = (at - first) * weight * sign
            place = first * plane + pixel
            places += [place, place + plane]
            steps += [weight * sign - rest, rest]
        # what begins in a cell fills a part of it and all that follow
        begun = np.bincount(np.concatenate(places), np.concatenate(steps), minlength=(self.cells + 2) * plane)
        begun = begun.reshape(-1, plane)[: self.cells]
        for before, cell in pairwise(begun):  # six times faster than cumsum along the first axis
            cell += before
        return begun.astype(np.float32)

    def upright(self, values: np.ndarray) -> np.ndarray:
        """(Y, Z, X)"""
        return values.reshape(self.cells, self.side, self.side).transpose(1, 0, 2)


def _laid(grid: _Grid, solids: Sequence[Solid], anatomy: Anatomy, pose: Pose, breaks: Sequence[Break] = ()) -> _Laid:
    projected = project(solids, anatomy.extent, pose, grid.side)
    along_beam, lean = middles(solids, projected, pose)
    for one in breaks:
        along_beam[one.solid] += displaced_middle(projected, one)
        displace(projected, one, pose)
    flat, u, v = pairs(projected, grid.side)
    index, inside, number = lookup(projected, flat, u, grid.side)
    off = v - projected.centre.take(index)
    half = projected.half_depth.take(index) * _cut(off / projected.half_width.take(index), inside)
    inner = projected.inner_width.take(index)
    inner_half = projected.inner_depth.take(index) * _cut(off / np.maximum(inner, 1e-3), inside)
    left = np.ones(len(number), np.float32)
    for one in breaks:
        here = np.flatnonzero(number == one.solid)
        across = v[here] - projected.centre.take(index[here])
        across *= -1 if pose.mirrored else 1
        left[here] *= 1 - gap_share(projected, one, u[here], across, projected.half_width.take(index[here]))
    middle = along_beam.take(index) + lean.take(number) * off * grid.mm
    return _Laid(flat[1], number, middle, half, inner_half, left)


def _cut(t: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Half the path through a circle at t of its radius from the middle, as a share of the radius."""
    return np.sqrt(np.maximum(1 - t * t, 0) * inside)


def _flesh(grid: _Grid, anatomy: Anatomy, pose: Pose, fat: float, soft: float) -> np.ndarray:
    """(Z, YX): attenuation of fat and muscle, as thick along each ray as the film takes them to be.

    The film knows no depth: of skins one behind the other (foot and leg) it takes the longest path, and of muscles
    too. So along each ray one of each is there, where it lies, and a muscle that lies outside that skin, being another
    limb's, is moved to the skin's nearest part.
    """
    middle, half = _longest(grid, anatomy.skin, anatomy, pose)
    muscle_middle, muscle_half = _longest(grid, anatomy.muscle, anatomy, pose)
    room = half - muscle_half
    inside = room > 0  # elsewhere muscle is all there is
    moved = np.clip(muscle_middle, middle - room, middle + room)
    pixel = np.arange(grid.side**2)
    return grid.filled(
        np.concatenate([pixel, pixel]),
        np.concatenate([middle, np.where(inside, moved, muscle_middle)]),
        np.concatenate([half, muscle_half]),
        np.concatenate([np.where(inside, fat, 0.0), np.where(inside, soft - fat, soft)]),
    )


def _longest(grid: _Grid, solids: Sequence[Solid], anatomy: Anatomy, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """(YX,) each: middle and half of each ray's longest path through one of the solids; 0 where it meets none."""
    middle, half = np.zeros((2, grid.side**2))
    if solids:
        laid = _laid(grid, solids, anatomy, pose)
        order = np.argsort(laid.half, kind="stable")  # of several written to one pixel the last one stays
        middle[laid.pixel[order]] = laid.middle[order]
        half[laid.pixel[order]] = laid.half[order]
    return middle, half
