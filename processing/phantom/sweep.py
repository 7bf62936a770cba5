"""Solids as the picture shows them: an axis, and tables of where each is and how wide and deep along it.

The chord of the beam through an ellipse swept along a path is 2 b sqrt(1 - (v / a)^2), with v the distance from the
path in the picture, a the half-width seen there and b the half-depth. For a path that leaves the picture's plane a and
b follow from the ellipse's shape matrix; for an ellipsoid they are exact at any angle.
"""

# Shapes: N solids, K points of a path, T entries of a profile's table
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from .anatomy.solids import Break, Solid

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

    def rows(self, some: slice) -> "Projected":
        """Some of the solids; the tables are shared, not copied."""
        tables = {f.name: getattr(self, f.name)[some] for f in fields(self) if f.name != "mm_per_pixel"}
        return Projected(mm_per_pixel=self.mm_per_pixel, **tables)


def project(solids: Sequence[Solid], extent: tuple[float, float], pose: Pose, side: int) -> Projected:
    """Every solid as the picture shows it."""
    path, width, depth, cortex = _at_equal_points(solids)
    caps = np.array([solid.caps for solid in solids], np.float32).reshape(-1, 2)  # also where there are none
    end_cortex = np.array([-1.0 if solid.end_cortex is None else solid.end_cortex for solid in solids], np.float32)
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

    entries = max(128, side)
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
    has_shell = np.array([solid.cortex is not None for solid in solids], bool)
    ends = np.where(end_cortex < 0, shell[:, [0, -1]].mean(1), end_cortex)
    inset = ends / np.maximum(length_mm, 1e-3)
    within = (grid[None] - inset[:, None]) / np.maximum(1 - 2 * inset[:, None], 1e-3)
    inner_cap = np.where((within > 0) & (within < 1), _cap(np.clip(within, 0, 1), share), 0.0)
    inner_a = np.maximum(a - shell * seen_slope / mm_per_pixel, 0) * inner_cap
    inner_b = np.maximum(b - shell, 0) * inner_cap
    inner_a[~has_shell] = inner_b[~has_shell] = 0
    return Projected(start, along, length, mm_per_pixel, centre, np.maximum(half_a, 1e-3), half_b, inner_a, inner_b)


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
        path[rows] = _smoothing(values.shape[1]) @ values
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
    width, depth, cortex = profiles
    return path, width, depth, cortex


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
    shape, volume = _shape_matrix(rows, path, width, depth, length3)
    look = np.array([[cos, 0, sin], [0, 1, 0]])
    seen = np.einsum("pi,nij,qj->npq", look, shape, look)
    values, vectors = np.linalg.eigh(seen)
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


def _shape_matrix(rows, path, width, depth, length3) -> tuple[np.ndarray, np.ndarray]:
    """Of ellipsoids: the sum of the half-axes' outer products (n, 3, 3), and the half-axes' product (n,)."""
    e1, e2, along = (vector[rows] for vector in _frame(path))
    middle = POINTS // 2
    halves = np.stack([width[rows, middle], depth[rows, middle], length3[rows] / 2], 1)  # (n, 3)
    axes = np.stack([e1, e2, along], 1) * halves[..., None]  # (n, 3 axes, 3)
    return np.einsum("nai,naj->nij", axes, axes), halves.prod(1)


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


# ---- along the beam


def middles(solids: Sequence[Solid], projected: Projected, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Where along the beam the middle of each solid lies: mm on its axis (N, T), and what one mm across adds (N,).

    A film does not need them, a volume does (processing/phantom/volume.py). For frontal views alone.
    """
    if pose.turn:
        raise ValueError(
            f"the pose is turned by {pose.turn} degrees; solids are laid in a volume from the front alone"
        )
    path, width, depth, _ = _at_equal_points(solids)
    caps = np.array([solid.caps for solid in solids], np.float32).reshape(-1, 2)
    view, tilt, share, half_width, half_depth = _turned(path, width, depth, 0.0)
    length3 = np.linalg.norm(path[:, -1] - path[:, 0], axis=1)
    rows = np.flatnonzero((share < STEEP) | _is_ellipsoid(caps, length3))
    lean = np.zeros(len(path), np.float32)
    if len(rows):  # the middles of all chords of an ellipsoid lie in one plane
        middle = (path[rows, 0] + path[rows, -1]) / 2
        _as_ellipsoids(rows, path, width, depth, caps, length3, 0.0, view, half_width, half_depth, tilt)
        shape, _ = _shape_matrix(rows, path, width, depth, length3)
        slope = np.linalg.solve(shape[:, :2, :2], shape[:, :2, 2:])[..., 0]  # (n, 2)
        view[rows, :, 2] = middle[:, None, 2] + np.einsum("nkp,np->nk", view[rows, :, :2] - middle[:, None, :2], slope)
        turn = np.deg2rad(pose.rotation)
        right, down = -projected.along[rows, 1], projected.along[rows, 0]  # across, in the picture
        x, y = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
        lean[rows] = slope[:, 0] * (-x if pose.mirrored else x) + slope[:, 1] * y
    chord = view[:, -1, :2] - view[:, 0, :2]
    u = np.einsum("nkp,np->nk", view[..., :2] - view[:, :1, :2], chord)
    u /= np.maximum((chord**2).sum(1), 1e-6)[:, None]
    return _tables(u, [view[..., 2]], projected.centre.shape[1])[0], lean


# ---- fractures


def displace(projected: Projected, one: Break, pose: Pose) -> None:
    """Moves what lies beyond the break, and swells the cortex about it; both die out over `spread`."""
    row = one.solid
    at, fading = _beyond(projected, one)
    cos, sin = np.cos(np.deg2rad(pose.turn)), np.sin(np.deg2rad(pose.turn))
    sideways = (one.step[0] * cos + one.step[2] * sin) * (-1 if pose.mirrored else 1)
    cos, sin = np.cos(np.deg2rad(pose.rotation)), np.sin(np.deg2rad(pose.rotation))
    right, down = sideways * cos - one.step[1] * sin, sideways * sin + one.step[1] * cos  # in the picture
    across = -projected.along[row, 1] * right + projected.along[row, 0] * down
    projected.centre[row] += across / projected.mm_per_pixel * fading
    swell = 1 + one.bulge * np.cos(np.clip(at / (0.5 * one.spread), -1, 1) * np.pi / 2) ** 2
    for table in (projected.half_width, projected.inner_width):
        table[row] *= swell


def displaced_middle(projected: Projected, one: Break) -> np.ndarray:
    """What a break adds to its solid's middle along the beam, mm (T,)."""
    return one.step[2] * _beyond(projected, one)[1]


def _beyond(projected: Projected, one: Break) -> tuple[np.ndarray, np.ndarray]:
    """How far beyond the break each entry of its solid's table lies, mm (T,), and the share of the step there (T,)."""
    entries = projected.centre.shape[1]
    length = projected.length[one.solid]
    at = ((np.arange(entries) + 0.5) / entries - one.at) * length * projected.mm_per_pixel
    fading = np.where(at > 0, np.maximum(1 - at / one.spread, 0) ** 2 * (1 + 2 * np.minimum(at / one.spread, 1)), 0)
    return at, fading


def gap_share(projected: Projected, one: Break, u: np.ndarray, v: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Share of the bone that the fracture line takes away, at points u along and v across."""
    across = v / np.maximum(half, 1e-3)
    amplitude, phase, waves = one.waves
    run = one.slope * v + amplitude / projected.mm_per_pixel * np.sin(waves * across + phase)
    distance = np.abs((u - one.at) * projected.length[one.solid] - run) * projected.mm_per_pixel
    line = np.clip((one.width / 2 + 0.5 * projected.mm_per_pixel - distance) / projected.mm_per_pixel, 0, 1)
    # a line thinner than a pixel takes a part of it
    line = np.minimum(line, min(one.width / projected.mm_per_pixel, 1.0))
    return one.depth * line * ((across >= one.reach[0]) & (across <= one.reach[1]))
