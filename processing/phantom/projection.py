"""From solids to what a parallel beam meets: all solids of a picture at once, by closed forms.

The chord of the beam through an ellipse swept along a path is 2 b sqrt(1 - (v / a)^2), with v the distance from the path
in the picture, a the half-width seen there and b the half-depth. For a path that leaves the picture's plane a and b
follow from the ellipse's shape matrix; for an ellipsoid they are exact at any angle.
"""

# Shapes: N solids, K points of a path, T entries of a profile's table, P pairs of a pixel and a solid, S side in pixels
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from .anatomy.solids import Anatomy, Break, Solid
from .materials import attenuation

POINTS = 33
STEEP = 0.45  # a path seen more end-on than this (share of its length in the picture) is drawn as an ellipsoid


@dataclass(frozen=True)
class Pose:
    """How the part lies on the film. Angles in degrees, shifts as shares of the film's side."""

    turn: float = 0.0  # about the part's long axis: 0 frontal, 90 lateral
    rotation: float = 0.0  # in the picture
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False  # a left-sided part


@dataclass
class Projected:
    """Solids in the picture: an axis from `start` in direction `along`, and tables over equal steps of it."""

    start: np.ndarray  # (N, 2) pixels
    along: np.ndarray  # (N, 2) unit
    length: np.ndarray  # (N,) pixels
    mm_per_pixel: float
    centre: np.ndarray  # (N, T) pixels across the axis
    half_width: np.ndarray  # (N, T) pixels
    half_depth: np.ndarray  # (N, T) mm
    inner_width: np.ndarray  # (N, T) of what lies inside the cortex; 0 where nothing does
    inner_depth: np.ndarray


def project(solids: Sequence[Solid], extent: tuple[float, float], pose: Pose, side: int) -> Projected:
    """Every solid as the picture shows it."""
    path, width, depth, cortex = _at_equal_points(solids)
    caps = np.array([solid.caps for solid in solids], np.float32)
    end_cortex = np.array(
        [-1.0 if solid.end_cortex is None else solid.end_cortex for solid in solids], np.float32
    )
    view, tilt, in_plane_share, half_width, half_depth = _turned(path, width, depth, pose.turn)
    length3 = np.linalg.norm(path[:, -1] - path[:, 0], axis=1)
    round_ = np.flatnonzero((in_plane_share < STEEP) | _is_ellipsoid(caps, length3))
    if len(round_):
        _as_ellipsoids(round_, path, width, depth, caps, length3, pose.turn, view, half_width, half_depth, tilt)

    mm_per_pixel = max(extent) / (0.92 * side * pose.zoom)
    pixels = _to_pixels(view, mm_per_pixel, pose, side)  # (N, K, 2)
    start = pixels[:, 0]
    axis = pixels[:, -1] - start
    length = np.maximum(np.linalg.norm(axis, axis=1), 1e-3)
    along = axis / length[:, None]
    from_start = pixels - start[:, None]
    u = np.einsum("nkd,nd->nk", from_start, along) / length[:, None]
    v = from_start[..., 1] * along[:, None, 0] - from_start[..., 0] * along[:, None, 1]

    entries = max(128, 2 * side)
    centre, a, b, shell = _tables(u, [v, half_width / mm_per_pixel, half_depth * tilt, cortex], entries)
    grid = (np.arange(entries, dtype=np.float32) + 0.5) / entries
    slope = np.gradient(centre, axis=1) * (entries / length[:, None])
    seen_slope = np.sqrt(1 + np.minimum(slope**2, 9.0))
    a *= seen_slope  # the half-width is meant across the path, and v is across its chord
    length_mm = length * mm_per_pixel
    share = np.clip(caps / np.maximum(length_mm[:, None], 1e-3), 0.0, None)
    crowded = share.sum(1) > 1
    share[crowded] /= share[crowded].sum(1, keepdims=True)
    cap = _cap(grid[None], share)
    half_a, half_b = a * cap, b * cap

    # the inside: thinner by the cortex all round, its ends drawn in by the cortex there
    has_shell = np.array([solid.cortex is not None for solid in solids])
    ends = np.where(end_cortex < 0, shell[:, [0, -1]].mean(1), end_cortex)
    inset = ends / np.maximum(length_mm, 1e-3)
    within = (grid[None] - inset[:, None]) / np.maximum(1 - 2 * inset[:, None], 1e-3)
    inner_cap = np.where((within > 0) & (within < 1), _cap(np.clip(within, 0, 1), share), 0.0)
    inner_a = np.maximum(a - shell * seen_slope / mm_per_pixel, 0) * inner_cap
    inner_b = np.maximum(b - shell, 0) * inner_cap
    inner_a[~has_shell] = inner_b[~has_shell] = 0
    return Projected(
        start, along, length, mm_per_pixel, centre, np.maximum(half_a, 1e-3), half_b, inner_a, inner_b
    )


def thickness(projected: Projected, number: int, side: int) -> np.ndarray:
    """Path length through one solid, in mm (S, S)."""
    flat, u, v = _pairs(projected, side, [number])
    out = np.zeros(side * side, np.float32)
    index, inside, _ = _lookup(projected, flat, u, side)
    t = (v - projected.centre.ravel()[index]) / projected.half_width.ravel()[index]
    q = np.where(inside, 1 - t * t, 0)
    out[flat[1]] = 2 * projected.half_depth.ravel()[index] * np.sqrt(np.maximum(q, 0))
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
    skin_and_muscle = project([*anatomy.skin, *anatomy.muscle], anatomy.extent, pose, side)
    layers = len(anatomy.skin)
    muscle = _union(skin_and_muscle, range(layers, layers + len(anatomy.muscle)), side)
    whole = np.maximum(_union(skin_and_muscle, range(layers), side), muscle)
    fat, soft = attenuation("fat", energy), attenuation("soft", energy)
    depth = (whole - muscle) * fat + muscle * soft
    bone_masks: dict[str, np.ndarray] = {}
    if anatomy.solids:
        solids = anatomy.solids
        projected = project(solids, anatomy.extent, pose, side)
        for one in anatomy.breaks:
            _displace(projected, one, pose)
        outer = np.array([s.mineral * (attenuation(s.material, energy) - attenuation(s.within, energy)) for s in solids], np.float32)
        inner = np.array(
            [0.0 if s.cortex is None else s.mineral * (attenuation(s.marrow, energy) - attenuation(s.material, energy)) for s in solids],
            np.float32,
        )
        flat, u, v = _pairs(projected, side)
        index, inside, number = _lookup(projected, flat, u, side)
        t = (v - projected.centre.ravel()[index]) / projected.half_width.ravel()[index]
        q = np.maximum(1 - t * t, 0) * inside
        chord = 2 * projected.half_depth.ravel()[index] * np.sqrt(q)
        inner_a = projected.inner_width.ravel()[index]
        t = (v - projected.centre.ravel()[index]) / np.maximum(inner_a, 1e-3)
        inside_chord = 2 * projected.inner_depth.ravel()[index] * np.sqrt(np.maximum(1 - t * t, 0) * inside)
        total = outer[number] * chord + inner[number] * inside_chord
        if texture is not None:
            total *= 1 + texture.ravel()[flat[1]] * (inside_chord > 0)
        for one in anatomy.breaks:
            here = np.flatnonzero(number == one.solid)
            total[here] *= 1 - _gap(projected, one, u[here], v[here] - projected.centre.ravel()[index[here]],
                                    projected.half_width.ravel()[index[here]])
        depth += np.bincount(flat[1], weights=total, minlength=side * side).reshape(side, side)
        if masks:
            bone_masks = _masks([s.bone for s in solids], flat[1], number, q > 0, side)
    marks: dict[str, np.ndarray] = {}
    if masks and anatomy.marks:
        marked = project([solid for _, solid in anatomy.marks], anatomy.extent, pose, side)
        flat, u, v = _pairs(marked, side)
        index, inside, number = _lookup(marked, flat, u, side)
        t = (v - marked.centre.ravel()[index]) / marked.half_width.ravel()[index]
        marks = _masks([name for name, _ in anatomy.marks], flat[1], number, inside & (t * t < 1), side)
    return Drawn(np.maximum(depth, 0).astype(np.float32), whole, bone_masks, marks, skin_and_muscle.mm_per_pixel)


# ---- from points to tables


@cache
def _smoothing(given: int) -> np.ndarray:
    """(K, given): Catmull-Rom through the given points, at K equal steps; a straight line through two."""
    out = np.zeros((POINTS, given), np.float32)
    if given == 1:
        return out + 1
    for row, s in enumerate(np.linspace(0, given - 1, POINTS)):
        i = min(int(s), given - 2)
        f = s - i
        weights = (
            (i - 1, -0.5 * f + f**2 - 0.5 * f**3),
            (i, 1 - 2.5 * f**2 + 1.5 * f**3),
            (i + 1, 0.5 * f + 2 * f**2 - 1.5 * f**3),
            (i + 2, -0.5 * f**2 + 0.5 * f**3),
        )
        for point, weight in weights:
            if point < 0:  # as if the path went on straight
                out[row, 0] += 2 * weight
                out[row, 1] -= weight
            elif point >= given:
                out[row, given - 1] += 2 * weight
                out[row, given - 2] -= weight
            else:
                out[row, point] += weight
    return out


def _at_equal_points(solids: Sequence[Solid]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Path (N, K, 3), half-width, half-depth and cortex (N, K) of every solid."""
    path = np.empty((len(solids), POINTS, 3), np.float32)
    for rows, values in _by_length([solid.path for solid in solids]):
        path[rows] = np.einsum("kg,ngd->nkd", _smoothing(values.shape[1]), values)
    profiles = []
    for given in (
        [solid.width for solid in solids],
        [solid.depth for solid in solids],
        [0.0 if solid.cortex is None else solid.cortex for solid in solids],
    ):
        table = np.empty((len(solids), POINTS), np.float32)
        for rows, values in _by_length([(one,) if isinstance(one, int | float) else tuple(one) for one in given]):
            table[rows] = np.maximum(values @ _smoothing(values.shape[1]).T, 0)
        profiles.append(table)
    return path, *profiles


def _by_length(values: Sequence[Sequence]):
    groups: dict[int, list[int]] = {}
    for row, one in enumerate(values):
        groups.setdefault(len(one), []).append(row)
    for rows in groups.values():
        yield rows, np.array([values[row] for row in rows], np.float32)


def _turned(path: np.ndarray, width: np.ndarray, depth: np.ndarray, turn: float):
    """The path in the view (N, K, 3), the beam's lengthening by tilt (N, K), and half-width and half-depth there."""
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    view = np.empty_like(path)
    view[..., 0] = path[..., 0] * cos + path[..., 2] * sin
    view[..., 1] = path[..., 1]
    view[..., 2] = path[..., 2] * cos - path[..., 0] * sin
    e1, e2, _ = _frame(path)
    chord = view[:, -1] - view[:, 0]
    in_plane = np.hypot(chord[:, 0], chord[:, 1])
    share = in_plane / np.maximum(np.linalg.norm(chord, axis=1), 1e-6)
    normal = np.stack([-chord[:, 1], chord[:, 0]], 1) / np.maximum(in_plane, 1e-6)[:, None]
    normal3 = np.stack([normal[:, 0] * cos, normal[:, 1], normal[:, 0] * sin], 1)  # in the part's own coordinates
    on1, on2 = np.einsum("nd,nd->n", e1, normal3)[:, None], np.einsum("nd,nd->n", e2, normal3)[:, None]
    seen = np.sqrt((width * on1) ** 2 + (depth * on2) ** 2)
    through = width * depth / np.maximum(seen, 1e-3)
    step = np.gradient(view, axis=1)
    flat = np.hypot(step[..., 0], step[..., 1])
    tilt = np.minimum(np.linalg.norm(step, axis=2) / np.maximum(flat, 1e-6), 2.2)
    return view, tilt, share, seen, through


def _frame(path: np.ndarray):
    """Unit vectors (N, 3): across the path in the frontal plane, perpendicular to both, and along the path."""
    along = path[:, -1] - path[:, 0]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    across = np.stack([-along[:, 1], along[:, 0], np.zeros(len(along), np.float32)], 1)
    size = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.where(size > 1e-4, across / np.maximum(size, 1e-6), np.array([[1.0, 0.0, 0.0]]))
    return across, np.cross(along, across), along


def _is_ellipsoid(caps: np.ndarray, length: np.ndarray) -> np.ndarray:
    return caps.sum(1) >= 0.999 * length


def _as_ellipsoids(rows, path, width, depth, caps, length3, turn, view, half_width, half_depth, tilt):
    """Puts the exact projection of an ellipsoid into the rows: half-axes half the path, and width and depth midway."""
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    e1, e2, along = (vector[rows] for vector in _frame(path))
    middle = POINTS // 2
    halves = np.stack([width[rows, middle], depth[rows, middle], length3[rows] / 2], 1)  # (n, 3)
    axes = np.stack([e1, e2, along], 1) * halves[..., None]  # (n, 3 axes, 3)
    shape = np.einsum("nai,naj->nij", axes, axes)
    look = np.array([[cos, 0, sin], [0, 1, 0]])
    seen = np.einsum("pi,nij,qj->npq", look, shape, look)
    values, vectors = np.linalg.eigh(seen)
    volume = halves.prod(1)
    long, short = np.sqrt(np.maximum(values[:, 1], 1e-6)), np.sqrt(np.maximum(values[:, 0], 1e-6))
    direction = vectors[:, :, 1]
    # the same end as before comes first, so that a break or a joint's face stays where it was
    before = view[rows, -1, :2] - view[rows, 0, :2]
    direction *= np.where(np.einsum("nd,nd->n", direction, before) < 0, -1, 1)[:, None]
    centre = (view[rows, 0, :2] + view[rows, -1, :2]) / 2
    s = np.linspace(-1, 1, POINTS)[None, :, None]
    view[rows, :, :2] = centre[:, None] + s * (direction * long[:, None])[:, None]
    half_width[rows] = short[:, None]
    half_depth[rows] = (volume / np.maximum(long * short, 1e-6))[:, None]
    tilt[rows] = 1
    caps[rows] = long[:, None]


def _to_pixels(view: np.ndarray, mm_per_pixel: float, pose: Pose, side: int) -> np.ndarray:
    """Millimetres about the part's origin, which is the middle of the film, to pixels (N, K, 2)."""
    turn = np.deg2rad(pose.rotation)
    x = (-view[..., 0] if pose.mirrored else view[..., 0]) / mm_per_pixel
    y = view[..., 1] / mm_per_pixel
    middle = (side - 1) / 2
    return np.stack(
        [
            x * np.cos(turn) - y * np.sin(turn) + middle + pose.shift[0] * side,
            x * np.sin(turn) + y * np.cos(turn) + middle + pose.shift[1] * side,
        ],
        -1,
    ).astype(np.float32)


def _tables(u: np.ndarray, values: list[np.ndarray], entries: int) -> list[np.ndarray]:
    """Values given at the path's points, at equal steps of the chord (N, T)."""
    even = np.linspace(0, 1, u.shape[1], dtype=np.float32)
    tables = [value @ _linear(u.shape[1], entries) for value in values]
    grid = (np.arange(entries) + 0.5) / entries
    for row in np.flatnonzero(np.abs(u - even).max(1) > 0.01):  # curved or foreshortened paths
        known = np.maximum.accumulate(u[row])
        for table, value in zip(tables, values, strict=True):
            table[row] = np.interp(grid, known, value[row])
    return tables


@cache
def _linear(points: int, entries: int) -> np.ndarray:
    """(K, T) linear interpolation from equal points to the middles of equal entries."""
    at = (np.arange(entries) + 0.5) / entries * (points - 1)
    left = np.minimum(at.astype(int), points - 2)
    out = np.zeros((points, entries), np.float32)
    out[left, np.arange(entries)] = 1 - (at - left)
    out[left + 1, np.arange(entries)] += at - left
    return out


def _cap(at: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(N, T) the factor by which a rounded end narrows: a quarter of an ellipse over its share of the length."""
    from_start = np.minimum(at / np.maximum(share[:, :1], 1e-6), 1)
    from_end = np.minimum((1 - at) / np.maximum(share[:, 1:], 1e-6), 1)
    return np.sqrt(np.maximum((2 - from_start) * from_start * (2 - from_end) * from_end, 0))


# ---- from tables to pixels


def _pairs(projected: Projected, side: int, numbers: Sequence[int] | None = None):
    """Every pixel of every solid's bounding box: (solid, pixel) (2, P), and u along and v across its axis (P,)."""
    some = np.arange(len(projected.length)) if numbers is None else np.asarray(numbers)
    reach = (np.abs(projected.centre) + projected.half_width)[some].max(1) + 1
    end = projected.start[some] + projected.along[some] * projected.length[some, None]
    pad = np.abs(projected.along[some][:, ::-1]) * reach[:, None]  # across the axis
    low = np.floor(np.minimum(projected.start[some], end) - pad)
    high = np.ceil(np.maximum(projected.start[some], end) + pad)
    low = np.clip(low, 0, side).astype(np.int64)
    high = np.clip(high + 1, 0, side).astype(np.int64)
    size = np.maximum(high - low, 0)
    count = size[:, 0] * size[:, 1]
    number = np.repeat(np.arange(len(some)), count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    wide = np.maximum(size[:, 0], 1)[number]
    row, column = np.divmod(place, wide)
    row += low[number, 1]
    column += low[number, 0]
    dx = column.astype(np.float32) - projected.start[some][number, 0]
    dy = row.astype(np.float32) - projected.start[some][number, 1]
    ax, ay = projected.along[some][number, 0], projected.along[some][number, 1]
    u = (dx * ax + dy * ay) / projected.length[some][number]
    v = dy * ax - dx * ay
    return (some[number], row * side + column), u, v


def _lookup(projected: Projected, flat, u: np.ndarray, side: int):
    """Each pair's place in the flattened tables, whether it lies along the solid, and the solid's number."""
    entries = projected.centre.shape[1]
    number = flat[0]
    entry = (u * entries).astype(np.int64)
    inside = (u >= 0) & (entry < entries)
    return number * entries + np.clip(entry, 0, entries - 1), inside, number


def _union(projected: Projected, numbers: Sequence[int], side: int) -> np.ndarray:
    """The longest of several chords (S, S): exact where the solids lie at one depth."""
    out = np.zeros((side, side), np.float32)
    for number in numbers:
        np.maximum(out, thickness(projected, number, side), out=out)
    return out


def _masks(names: Sequence[str | None], pixel: np.ndarray, number: np.ndarray, hit: np.ndarray, side: int):
    masks: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for name in names if name is not None):
        mask = np.zeros(side * side, bool)
        own = np.array([other == name for other in names])
        mask[pixel[own[number] & hit]] = True
        masks[name] = mask.reshape(side, side)
    return masks


# ---- fractures


def _displace(projected: Projected, one: Break, pose: Pose):
    """Moves what lies beyond the break, and swells the cortex about it; both die out over `spread`."""
    row, entries = one.solid, projected.centre.shape[1]
    length = projected.length[row]
    at = ((np.arange(entries) + 0.5) / entries - one.at) * length * projected.mm_per_pixel  # mm beyond the break
    cos, sin = np.cos(np.deg2rad(pose.turn)), np.sin(np.deg2rad(pose.turn))
    sideways = one.step[0] * cos + one.step[2] * sin
    across = -projected.along[row, 1] * (-sideways if pose.mirrored else sideways) + projected.along[row, 0] * one.step[1]
    fading = np.where(at > 0, np.maximum(1 - at / one.spread, 0) ** 2 * (1 + 2 * np.minimum(at / one.spread, 1)), 0)
    projected.centre[row] += across / projected.mm_per_pixel * fading
    swell = 1 + one.bulge * np.cos(np.clip(at / (0.5 * one.spread), -1, 1) * np.pi / 2) ** 2
    for table in (projected.half_width, projected.inner_width):
        table[row] *= swell


def _gap(projected: Projected, one: Break, u: np.ndarray, v: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Share of the bone that the fracture line takes away, at points u along and v across."""
    across = v / np.maximum(half, 1e-3)
    amplitude, phase, waves = one.waves
    run = one.slope * v + amplitude / projected.mm_per_pixel * np.sin(waves * across + phase)
    distance = np.abs((u - one.at) * projected.length[one.solid] - run) * projected.mm_per_pixel
    line = np.clip((one.width / 2 + 0.5 * projected.mm_per_pixel - distance) / projected.mm_per_pixel, 0, 1)
    # a line thinner than a pixel takes a part of it
    line = np.minimum(line, min(one.width / projected.mm_per_pixel, 1.0))
    return one.depth * line * ((across >= one.reach[0]) & (across <= one.reach[1]))
