"""The column of vertebrae: where each one lies and which way it faces, and the bones of one.

Measures are an adult man's in mm and degrees, rounded from anatomy textbooks. Ossification: the ring apophyses show
from 7 years and fuse at 17; a young child's bodies are low ovals between high discs.
"""

from dataclasses import dataclass

import numpy as np

from ..growth import length_scale, mineral, ossification
from ..records import Patient
from .solids import Anatomy, Point, Shape, Solid

# half-width, half-depth, height of the body, height of the disc below, inclination in the sagittal plane: positive
# where the column runs forwards on its way down
_LEVELS = {
    "C1": (9, 8, 9, 2, 12),
    "C2": (9, 8, 21, 5, 13),
    "C3": (9.5, 8, 13.5, 5, 10),
    "C4": (10, 8, 13, 5, 5),
    "C5": (10.5, 8, 13, 5, -2),
    "C6": (11.5, 8.3, 13, 5.5, -9),
    "C7": (13, 8.6, 14, 5.5, -16),
    "T1": (14.5, 9, 16, 4.5, -20),
    "T2": (14, 9.5, 17.5, 4, -19),
    "T3": (13.5, 10.5, 18, 4, -16),
    "T4": (13.5, 11.5, 18.5, 4, -13),
    "T5": (13.5, 12.5, 19, 4, -9),
    "T6": (14, 13, 19.5, 4.5, -4),
    "T7": (14.5, 14, 20, 4.5, 1),
    "T8": (15, 14.5, 20.5, 5, 6),
    "T9": (15.8, 15, 21, 5, 10),
    "T10": (17, 15.3, 22, 5.5, 13),
    "T11": (18.5, 15.5, 22.5, 6, 15),
    "T12": (20.5, 15.8, 23.5, 7, 16),
    "L1": (21, 16, 25.5, 8.5, 14),
    "L2": (22, 16.5, 26.5, 9.5, 9),
    "L3": (23, 17, 27, 10.5, 2),
    "L4": (24.5, 17.3, 27, 11, -8),
    "L5": (26, 17.3, 27, 10, -21),
    "S1": (27, 16, 28, 2, -36),
}
LEVELS = tuple(_LEVELS)
_WAVE = {"T": 155.0, "L": 130.0}  # mm from the apex of a scoliosis to where it swings back, for its region


@dataclass
class Vertebra:
    """A place in the column, with its own axes: to the picture's right, down and to the front."""

    level: str
    centre: np.ndarray
    right: np.ndarray
    down: np.ndarray
    front: np.ndarray
    half_width: float
    half_depth: float
    height: float
    disc: float

    def at(self, x: float, y: float, z: float) -> Point:
        """The point at these mm from the body's middle."""
        a, b, c = self.centre + x * self.right + y * self.down + z * self.front
        return float(a), float(b), float(c)


def spine_scale(patient: Patient) -> float:
    """Lengths of the trunk as a share of an adult's: infants have a long trunk for their stature."""
    return length_scale(patient) * float(np.interp(patient.age_months / 12, (0, 2, 6, 12), (1.28, 1.19, 1.08, 1.0)))


def column(
    anatomy: Anatomy,
    shape: Shape,
    first: str,
    last: str,
    scale: float,
    apexes: tuple[str, ...] = (),
    at: Point = (0.0, 0.0, 0.0),
) -> list[Vertebra]:
    """The vertebrae from `first` to `last`, the middle of the stretch `at` a point; `apexes` of a possible scoliosis.

    A scoliosis is added to the healthy child's own curve, and ends where it meets the straight spine again. Its height
    stays, a simplification: a crooked spine is shorter. The bodies turn towards the convex side.
    """
    years = shape.patient.age_months / 12
    levels = LEVELS[LEVELS.index(first) : LEVELS.index(last) + 1]
    young_disc = float(np.interp(years, (0, 1, 5, 10, 16), (2.0, 1.8, 1.35, 1.12, 1.0)))
    bend = float(np.interp(years, (0, 1, 3, 10), (0.35, 0.55, 0.8, 1.0))) * shape.vary(0.13)
    lean = np.deg2rad(shape.offset(1.2))
    cobb, apex, turned = shape.offset(2.2), shape.random.uniform(0.25, 0.75), shape.offset(2.0)
    slimness, high = shape.vary(0.04), shape.vary(0.04)
    heights = [shape.vary(0.025) for _ in levels]

    rows = [_LEVELS[level] for level in levels]
    whole = np.array([(row[2] + row[3]) * one for row, one in zip(rows, heights, strict=True)]) * scale * high
    share = np.array([row[3] / (row[2] + row[3]) for row in rows])
    disc = whole * np.minimum(share * young_disc, 0.45)
    arc = np.cumsum(whole) - whole / 2
    aside, slope, turn = _curve(arc, arc[0] + apex * (arc[-1] - arc[0]), 130 * scale, cobb, turned, (0.0, 0.0))
    moved = np.zeros(len(levels))
    if apexes and shape.severity("scoliosis"):
        moved, more_slope, more_turn = _scoliosis(shape, levels, arc, apexes, scale * high)
        slope, turn = slope + more_slope, turn + more_turn
    frontal = np.arctan(slope + np.tan(lean))
    axial = np.deg2rad(turn)
    sagittal = np.deg2rad([row[4] for row in rows]) * bend

    down = np.stack([np.sin(frontal) * np.cos(sagittal), np.cos(frontal) * np.cos(sagittal), np.sin(sagittal)], 1)
    side = np.stack([np.cos(frontal), -np.sin(frontal), np.zeros(len(levels))], 1)
    face = np.cross(side, down)
    right = side * np.cos(axial)[:, None] - face * np.sin(axial)[:, None]
    front = face * np.cos(axial)[:, None] + side * np.sin(axial)[:, None]
    steps = np.stack([np.full(len(levels), np.tan(lean)), np.cos(sagittal), np.sin(sagittal)], 1)
    centre = np.cumsum(steps * whole[:, None], 0) - steps * ((whole + disc) / 2)[:, None]
    centre[:, 0] += aside
    centre += np.array(at) - (centre[0] + centre[-1]) / 2
    centre[:, 0] += moved
    vertebrae = [
        Vertebra(
            level,
            centre[i],
            right[i],
            down[i],
            front[i],
            row[0] * scale * slimness,
            row[1] * scale * slimness,
            float(whole[i] - disc[i]),
            float(disc[i]),
        )
        for i, (level, row) in enumerate(zip(levels, rows, strict=True))
    ]
    if moved.any():
        anatomy.marks.append(("scoliosis", _outline(vertebrae, moved)))
    return vertebrae


def _curve(arc, apex_at: float, wave: float, cobb: float, turned: float, swing_back: tuple[float, float]):
    """Offset to the side in mm, its slope, and rotation in degrees, at these mm along the spine.

    A cosine whose two steepest places, half a `wave` above and below the apex, differ by `cobb` degrees; `swing_back`
    are the shares of it by which the spine swings to the other side above and below.
    """
    high = 2 * wave / np.pi * np.tan(np.deg2rad(cobb) / 2)
    aside, slope = np.zeros(len(arc)), np.zeros(len(arc))
    bumps = ((0.0, 1.0, 1.0), (-1.75, 0.85, -swing_back[0]), (1.75, 0.85, -swing_back[1]))
    for middle, half, share in bumps:
        v = np.clip(((arc - apex_at) / wave - middle) / half, -1, 1)
        aside += share * high * (1 + np.cos(np.pi * v)) / 2
        slope -= share * high * np.pi / (2 * wave * half) * np.sin(np.pi * v)
    turn = turned * np.cos(np.pi / 2 * np.clip((arc - apex_at) / wave, -1, 1)) ** 2
    return aside, slope, turn


def _scoliosis(shape: Shape, levels: tuple[str, ...], arc, apexes: tuple[str, ...], scale: float):
    """A curve of 10 degrees (Cobb) and more. Its own random numbers, so that the healthy twin keeps its own."""
    random = np.random.default_rng(shape.findings["scoliosis"].seed)
    apex = apexes[int(random.integers(len(apexes)))]
    low = apex in ("T12", "L1", "L2")
    wave = _WAVE["L" if low else "T"] * scale * random.uniform(0.92, 1.08)
    cobb = (10 + 45 * shape.severity("scoliosis")) * (1 if random.random() < 0.6 else -1)
    # the sacrum stays where it is, so a low curve swings back above it only
    return _curve(arc, arc[levels.index(apex)], wave, cobb, 0.5 * cobb, (0.12, 0.0 if low else 0.12))


def _outline(vertebrae: list[Vertebra], moved: np.ndarray) -> Solid:
    """From where the main curve's vertebrae would be to where they are."""
    main = np.abs(moved) > 0.05 * np.abs(moved).max()
    main &= np.sign(moved) == np.sign(moved[np.abs(moved).argmax()])
    curved = [(one, by) for one, by, seen in zip(vertebrae, moved, main, strict=True) if seen]
    points = [(float(one.centre[0] - by / 2), float(one.centre[1]), float(one.centre[2])) for one, by in curved]
    width = [2.2 * one.half_width + abs(by) / 2 for one, by in curved]
    depth = [2.2 * one.half_depth for one, _ in curved]
    return Solid(tuple(points), width, depth, (0.0, 0.0), "bone", "soft")


def bones_of(
    anatomy: Anatomy, patient: Patient, column: list[Vertebra], scale: float, facets=True, rings=True, dense=1.0
) -> None:
    """Body, arch and processes of each vertebra, and each disc's ring apophyses; `dense` scales the mineral."""
    years = patient.age_months / 12
    hard, oval = dense * mineral(patient), float(np.interp(years, (0, 1, 4, 8), (0.46, 0.4, 0.2, 0.09)))
    ring = ossification(patient, 7, 17)
    for number, one in enumerate(column):
        if one.level == "C1":
            _atlas(anatomy, one, hard, scale)
            continue
        if one.level == "S1":
            continue  # the sacrum is drawn as one
        w, d, h = one.half_width, one.half_depth, one.height
        waist = 1 - 0.11 * min(years / 8, 1)
        shell = min(1.5 * scale, 0.12 * h)
        anatomy.bone(
            one.level,
            [one.at(0, -h / 2, 0), one.at(0, h / 2, 0)],
            [w, 0.5 * (1 + waist) * w, waist * w, 0.5 * (1 + waist) * w, 1.03 * w],
            [d, 0.5 * (1 + waist) * d, waist * d, 0.5 * (1 + waist) * d, 1.02 * d],
            shell,
            (oval * h, oval * h),
            hard,
            end_cortex=1.35 * shell,
        )
        arch = {"C": _cervical_arch, "T": _thoracic_arch, "L": _lumbar_arch}[one.level[0]]
        arch(anatomy, one, hard, scale, facets)
        if rings and 0 < ring < 1 and number + 1 < len(column):
            _ring_apophyses(anatomy, one, column[number + 1], ring, hard, scale)


def _ring_apophyses(anatomy, upper: Vertebra, lower: Vertebra, done: float, hard: float, scale: float) -> None:
    """Both rings of a disc space as one solid that is hollow along its axis and has no width at half its height."""
    gap = upper.disc * 0.13 * (1 - done)
    start = upper.at(0, upper.height / 2 + gap, 0)
    end = lower.at(0, -lower.height / 2 - gap, 0)
    thick = (0.35 + 0.4 * min(done / 0.3, 1.0)) * 2.6 * scale / max(upper.disc, 1e-3)  # share of the disc
    edge = np.linspace(0, 1, 13)
    here = (edge < thick) | (edge > 1 - thick)
    w, d = 0.97 * (upper.half_width + lower.half_width) / 2, 0.97 * (upper.half_depth + lower.half_depth) / 2
    solid = Solid((start, end), list(w * here), list(d * here), (0.0, 0.0), "bone", "soft", 3.0 * scale, "soft")
    solid.mineral, solid.bone, solid.end_cortex = 0.8 * hard, upper.level, 0.0
    anatomy.add(solid)


def _pair(anatomy, one: Vertebra, start, end, width, depth, cortex, caps, hard) -> None:
    for side in (-1, 1):
        ends = [one.at(side * x, y, z) for x, y, z in (start, end)]
        anatomy.bone(one.level, ends, width, depth, cortex, caps, hard)


def _pedicles(anatomy, one: Vertebra, x: float, half: tuple[float, float], long: float, hard: float, scale: float):
    """Seen end-on from the front, so the cortex is a ring."""
    back, y = -0.75 * one.half_depth, -0.2 * one.height
    start, end = (x, y, back), (x, y, back - long)
    _pair(
        anatomy, one, start, end, half[0], half[1], min(1.9 * scale, 0.45 * half[0]), (long / 2, long / 2), 1.15 * hard
    )


def _lumbar_arch(anatomy, one: Vertebra, hard: float, scale: float, facets: bool) -> None:
    w, d, h = one.half_width, one.half_depth, one.height
    _pedicles(anatomy, one, 0.64 * w, (0.19 * w, 0.3 * h), 21 * scale, hard, scale)
    tip = (1.72 if one.level != "L5" else 1.5) * w
    # both transverse processes, and the laminae between them
    anatomy.bone(one.level, [one.at(-tip, -0.12 * h, -d - 8 * scale), one.at(0, 0.12 * h, -d - 16 * scale),
                 one.at(tip, -0.12 * h, -d - 8 * scale)], [2.6 * scale, 3.2 * scale, 7 * scale, 3.2 * scale,
                 2.6 * scale], [2 * scale, 2.5 * scale, 3 * scale, 2.5 * scale, 2 * scale], 0.9 * scale,
                 (3 * scale, 3 * scale), 0.75 * hard)  # fmt: skip
    if facets:
        start, end = (0.66 * w, -0.3 * h, -d - 14 * scale), (0.52 * w, 0.5 * h + 0.9 * one.disc, -d - 17 * scale)
        _pair(anatomy, one, start, end, [5 * scale, 4 * scale, 5 * scale], [6 * scale, 4 * scale, 6 * scale],
              1.2 * scale, (3 * scale, 4 * scale), 0.8 * hard)  # fmt: skip
    anatomy.bone(
        one.level,
        [one.at(0, 0.18 * h, -d - 17 * scale), one.at(0, 0.36 * h, -d - 47 * scale)],
        [2.6 * scale, 3 * scale, 3.6 * scale],
        [7 * scale, 9 * scale, 9 * scale],
        1.1 * scale,
        (3 * scale, 4 * scale),
        hard,
    )


def _thoracic_arch(anatomy, one: Vertebra, hard: float, scale: float, facets: bool) -> None:
    w, d, h = one.half_width, one.half_depth, one.height
    number = int(one.level[1:])
    _pedicles(anatomy, one, 0.72 * w, (0.2 * w, 0.27 * h), 15 * scale, hard, scale)
    tip = float(np.interp(number, (1, 10, 12), (36, 28, 22))) * scale
    anatomy.bone(one.level, [one.at(-tip, -0.3 * h, -d - 17 * scale), one.at(0, 0.1 * h, -d - 12 * scale),
                 one.at(tip, -0.3 * h, -d - 17 * scale)], [3.8 * scale, 3 * scale, 6 * scale, 3 * scale, 3.8 * scale],
                 [3 * scale, 2.3 * scale, 2.5 * scale, 2.3 * scale, 3 * scale], 0.9 * scale, (3 * scale, 3 * scale),
                 0.7 * hard)  # fmt: skip
    if facets:
        start, end = (0.6 * w, -0.55 * h, -d - 9 * scale), (0.55 * w, 0.6 * h, -d - 12 * scale)
        _pair(anatomy, one, start, end, 4 * scale, 3 * scale, 0.9 * scale, (3 * scale, 3 * scale), 0.6 * hard)
    steep = float(np.interp(number, (1, 5, 8, 12), (0.5, 1.25, 1.3, 0.45)))
    anatomy.bone(
        one.level,
        [one.at(0, 0.15 * h, -d - 13 * scale), one.at(0, steep * h, -d - 38 * scale)],
        [2.3 * scale, 2.3 * scale, 3 * scale],
        [6.5 * scale, 4.5 * scale, 4 * scale],
        1.0 * scale,
        (3 * scale, 3 * scale),
        hard,
    )


def _cervical_arch(anatomy, one: Vertebra, hard: float, scale: float, facets: bool) -> None:
    w, d, h = one.half_width, one.half_depth, one.height
    y = 0.1 * h if one.level == "C2" else 0.0
    long = {"C2": 33, "C6": 36, "C7": 46}.get(one.level, 28) * scale
    low = 0.75 if one.level == "C7" else 0.55
    # articular pillars: beside the bodies from the front, rhombs behind them from the side
    half = min(0.5 * h + 0.3 * one.disc, 9 * scale)
    _pair(anatomy, one, (1.62 * w, y - half, -d - 4 * scale), (1.62 * w, y + half, -d - 9 * scale), [6 * scale,
          5 * scale, 6 * scale], [6 * scale, 6.5 * scale, 6 * scale], 1.1 * scale, (2 * scale, 2 * scale),
          0.85 * hard)  # fmt: skip
    if facets:  # laminae
        _pair(anatomy, one, (1.35 * w, y, -d - 11 * scale), (0.1 * w, y + 0.35 * h, -d - 21 * scale), [5 * scale,
              4.5 * scale], 2.2 * scale, 0.9 * scale, (1.5 * scale, 1 * scale), 0.7 * hard)  # fmt: skip
    if one.level == "C2":  # the dens
        dens = 0.92 * h
        anatomy.bone("C2", [one.at(0, -0.42 * h - dens, 1 * scale), one.at(0, -0.35 * h, 0)], [4.6 * scale,
                     5.6 * scale, 5 * scale, 7 * scale], [4.5 * scale, 5.3 * scale, 5 * scale, 6 * scale], 1.1 * scale,
                     (4 * scale, 0), hard)  # fmt: skip
    anatomy.bone(
        one.level,
        [one.at(0, y + 0.25 * h, -d - 17 * scale), one.at(0, y + low * h, -d - 17 * scale - 0.62 * long)],
        [2.6 * scale, 2.8 * scale, 4 * scale],
        [4.5 * scale, 4.2 * scale, (6 if one.level == "C2" else 4.2) * scale],
        1.0 * scale,
        (2 * scale, 3 * scale),
        hard,
    )


def _atlas(anatomy, one: Vertebra, hard: float, scale: float) -> None:
    """A ring without a body: the lateral masses, the anterior and the posterior arch."""
    d = one.half_depth
    _pair(anatomy, one, (19 * scale, -9 * scale, -3 * scale), (17 * scale, 9 * scale, -3 * scale), [8 * scale,
          8 * scale, 7 * scale], 9 * scale, 1.2 * scale, (3 * scale, 3 * scale), 0.8 * hard)  # fmt: skip
    anatomy.bone("C1", [one.at(0, -5 * scale, d + 4 * scale), one.at(0, 5 * scale, d + 4 * scale)], 11 * scale,
                 3.2 * scale, 1.0 * scale, (4.9 * scale, 4.9 * scale), hard)  # fmt: skip
    anatomy.bone("C1", [one.at(0, 0, -d - 12 * scale), one.at(0, 3 * scale, -d - 32 * scale)], 14 * scale, 3.6 * scale,
                 1.1 * scale, (3 * scale, 3 * scale), 0.5 * hard)  # fmt: skip
