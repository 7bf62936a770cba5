"""What a parallel beam meets: all solids of a picture at once, by the closed forms of sweep.py."""

# Shapes: N solids, T entries of a profile's table, P pairs of a pixel and a solid, S side in pixels
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .anatomy.solids import Anatomy
from .materials import attenuation
from .sweep import Pose, Projected, displace, gap_share, project


def thickness(projected: Projected, number: int, side: int) -> np.ndarray:
    """Path length through one solid, in mm (S, S)."""
    flat, u, v = pairs(projected, side, [number])
    out = np.zeros(side * side, np.float32)
    index, inside, _ = lookup(projected, flat, u, side)
    t = (v - projected.centre.take(index)) / projected.half_width.take(index)
    q = np.where(inside, 1 - t * t, 0)
    out[flat[1]] = 2 * projected.half_depth.take(index) * np.sqrt(np.maximum(q, 0))
    return out.reshape(side, side)


@dataclass
class Drawn:
    """What the beam meets."""

    depth: np.ndarray  # (S, S) optical depth: the attenuation's line integral
    soft_mm: np.ndarray  # (S, S) mm of tissue altogether
    masks: dict[str, np.ndarray]  # bone -> (S, S) bool, where asked for
    marks: dict[str, np.ndarray]  # finding -> (S, S) bool
    mm_per_pixel: float


def draw(anatomy: Anatomy, pose: Pose, side: int, masks: bool = False, texture: np.ndarray | None = None) -> Drawn:
    """The optical depth of an anatomy. `texture` (S, S), about 0, varies the marrow like trabeculae."""
    energy = anatomy.energy
    layers = len(anatomy.skin)
    groups = [range(layers), range(layers, layers + len(anatomy.muscle))]
    flesh = groups[1].stop
    everything = project([*anatomy.skin, *anatomy.muscle, *anatomy.solids], anatomy.extent, pose, side)
    skin_and_muscle, projected = everything.rows(slice(flesh)), everything.rows(slice(flesh, None))
    skin, muscle = _longest(skin_and_muscle, side, groups)
    whole = np.maximum(skin, muscle)
    fat, soft = attenuation("fat", energy), attenuation("soft", energy)
    depth = (whole - muscle) * fat + muscle * soft
    bone_masks: dict[str, np.ndarray] = {}
    if anatomy.solids:
        solids = anatomy.solids
        for one in anatomy.breaks:
            displace(projected, one, pose)
        outer = np.array(
            [s.mineral * (attenuation(s.material, energy) - attenuation(s.within, energy)) for s in solids], np.float32
        )
        inner = np.array(
            [
                0.0
                if s.cortex is None
                else s.mineral * (attenuation(s.marrow, energy) - attenuation(s.material, energy))
                for s in solids
            ],
            np.float32,
        )
        flat, u, v = pairs(projected, side)
        index, inside, number = lookup(projected, flat, u, side)
        off = v - projected.centre.take(index)
        t = off / projected.half_width.take(index)
        q = np.maximum(1 - t * t, 0) * inside
        chord = 2 * projected.half_depth.take(index) * np.sqrt(q)
        total = outer.take(number) * chord
        hollow = np.flatnonzero((inner != 0).take(number))
        at = index[hollow]
        t = off[hollow] / np.maximum(projected.inner_width.take(at), 1e-3)
        inside_chord = np.zeros_like(chord)
        inside_chord[hollow] = 2 * projected.inner_depth.take(at) * np.sqrt(np.maximum(1 - t * t, 0) * inside[hollow])
        total += inner.take(number) * inside_chord
        if texture is not None:
            total *= 1 + texture.take(flat[1]) * (inside_chord > 0)
        for one in anatomy.breaks:
            here = np.flatnonzero(number == one.solid)
            across = v[here] - projected.centre.ravel()[index[here]]
            across *= -1 if pose.mirrored else 1  # a left bone breaks as the mirror image of a right one
            half = projected.half_width.ravel()[index[here]]
            total[here] *= 1 - gap_share(projected, one, u[here], across, half)
        depth += np.bincount(flat[1], weights=total, minlength=side * side).reshape(side, side)
        if masks:
            bone_masks = _masks([s.bone for s in solids], flat[1], number, q > 0, side)
    marks: dict[str, np.ndarray] = {}
    if masks and anatomy.marks:
        marked = project([solid for _, solid in anatomy.marks], anatomy.extent, pose, side)
        flat, u, v = pairs(marked, side)
        index, inside, number = lookup(marked, flat, u, side)
        t = (v - marked.centre.take(index)) / marked.half_width.take(index)
        marks = _masks([name for name, _ in anatomy.marks], flat[1], number, inside & (t * t < 1), side)
    return Drawn(np.maximum(depth, 0).astype(np.float32), whole, bone_masks, marks, everything.mm_per_pixel)


# ---- from tables to pixels


def pairs(projected: Projected, side: int, numbers: Sequence[int] | None = None):
    """Every pixel that may lie in a solid: (solid, pixel) (2, P), and u along and v across its axis (P,).

    A solid lies in a rectangle about its axis; each row of pixels meets that in one run.
    """
    some = np.arange(len(projected.length)) if numbers is None else np.asarray(numbers)
    start, along, length = projected.start[some], projected.along[some], projected.length[some]
    left = (projected.centre - projected.half_width)[some].min(1) - 1  # of v
    right = (projected.centre + projected.half_width)[some].max(1) + 1
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    corners = np.stack(
        [start + across * v[:, None] + along * u[:, None] for v in (left, right) for u in (0 * length, length)], 1
    )  # (N, 4, 2)
    top = np.clip(np.floor(corners[..., 1].min(1)), 0, side).astype(np.int64)
    bottom = np.clip(np.ceil(corners[..., 1].max(1)) + 1, 0, side).astype(np.int64)
    own, rows = _runs(np.maximum(bottom - top, 0))  # which solid, which of its rows
    y = (rows + top[own]).astype(np.float32)
    dy = y - start[own, 1]
    ax, ay = along[own, 0], along[own, 1]
    # v = dy ax - dx ay lies between left and right, and dx ax + dy ay between 0 and the length
    first, last = _between(dy * ax - right[own], dy * ax - left[own], ay)
    first2, last2 = _between(-dy * ay, length[own] - dy * ay, ax)
    x0 = np.clip(np.ceil(np.maximum(first, first2) + start[own, 0]), 0, side).astype(np.int64)
    x1 = np.clip(np.floor(np.minimum(last, last2) + start[own, 0]) + 1, 0, side).astype(np.int64)
    line, place = _runs(np.maximum(x1 - x0, 0))
    x = place + x0.take(line)
    number = own.take(line)
    dx = x.astype(np.float32) - start[:, 0].take(number)
    u = (dx * ax.take(line) + (dy * ay).take(line)) / length.take(number)
    v = (dy * ax).take(line) - dx * ay.take(line)
    return (some.take(number), y.take(line).astype(np.int64) * side + x), u, v


def _runs(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For runs of so many members: which run each member belongs to, and its place in the run."""
    own = np.repeat(np.arange(len(counts)), counts)
    return own, np.arange(len(own)) - np.repeat(np.cumsum(counts) - counts, counts)


def _between(low: np.ndarray, high: np.ndarray, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The x for which `factor` x lies between low and high; all or none of them where the factor is 0."""
    safe = np.where(np.abs(factor) < 1e-6, 1e-6, factor)
    one, other = low / safe, high / safe
    return np.minimum(one, other), np.maximum(one, other)


def lookup(projected: Projected, flat, u: np.ndarray, side: int):
    """Each pair's place in the flattened tables, whether it lies along the solid, and the solid's number."""
    entries = projected.centre.shape[1]
    number = flat[0]
    entry = (u * entries).astype(np.int64)
    inside = (u >= 0) & (entry < entries)
    return number * entries + np.clip(entry, 0, entries - 1), inside, number


def _longest(projected: Projected, side: int, groups: Sequence[range]) -> list[np.ndarray]:
    """The longest chord at each pixel, by group of solids (S, S): their union, exact where they lie at one depth."""
    flat, u, v = pairs(projected, side)
    index, inside, number = lookup(projected, flat, u, side)
    t = (v - projected.centre.take(index)) / projected.half_width.take(index)
    chord = 2 * projected.half_depth.take(index) * np.sqrt(np.maximum(1 - t * t, 0) * inside)
    chord = chord.astype(np.float32)
    longest = []
    for group in groups:
        first, last = np.searchsorted(number, (group.start, group.stop))  # pairs come in the order of the solids
        out = np.zeros(side * side, np.float32)
        np.maximum.at(out, flat[1][first:last], chord[first:last])
        longest.append(out.reshape(side, side))
    return longest


def _masks(names: Sequence[str | None], pixel: np.ndarray, number: np.ndarray, hit: np.ndarray, side: int):
    masks: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for name in names if name is not None):
        mask = np.zeros(side * side, bool)
        own = np.array([other == name for other in names])
        mask[pixel[own[number] & hit]] = True
        masks[name] = mask.reshape(side, side)
    return masks
