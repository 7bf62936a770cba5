"""The seven findings of the chest, drawn by the chest's own builder.

Stated simplifications:

- consolidation: a cloud of overlapping ellipsoids where fluid takes the place of air, in one zone, with dark air
  bronchograms running out from the hilum.
- pleural effusion: the costophrenic angle is filled, and fluid rises along the lateral wall as a meniscus. The film is
  taken upright.
- pneumothorax: the visceral pleura as a thin white line that follows the wall, no vessels and less tissue beyond it, the
  lung within it denser by what it has lost in volume.
- cardiomegaly: every half-width of the heart grows alike, up to a cardiothoracic ratio of .72.
- atrial septal defect: right atrium and pulmonary artery large, aortic knob small, vessels wide.
- ventricular septal defect: left ventricle and pulmonary artery large, vessels wide.
- patent ductus arteriosus: left ventricle, aortic knob and pulmonary artery large, vessels wide.

The shunts' outlines overlap one another as they do in the clinic; nothing else of them is shown.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..records import Finding
from .solids import Anatomy, Shape, Solid, ball

_LUNG_ZONES = tuple(f"{side} {zone} zone" for side in ("right", "left") for zone in ("upper", "middle", "lower"))
_SIDES = ("right hemithorax", "left hemithorax")
_HEART = ("heart",)
PLACES: dict[str, tuple[str, ...]] = {
    "consolidation": _LUNG_ZONES,
    "pleural effusion": _SIDES,
    "pneumothorax": _SIDES,
    "cardiomegaly": _HEART,
    "atrial septal defect": _HEART,
    "ventricular septal defect": _HEART,
    "patent ductus arteriosus": _HEART,
}
_ZONES = {"upper": 0.3, "middle": 0.56, "lower": 0.8}  # shares of the way from the apex to the dome


@dataclass
class Chest:
    """What findings need to know of a chest: mm, and shares of the way from the apex (0) to the dome (1)."""

    scale: float  # of an adult's lengths
    top: float  # y of the apex
    height: tuple[float, float]  # apex to dome: right, left
    angle: tuple[float, float]  # y of the costophrenic angle: right, left
    wall: Callable[[float], float]  # half-width of the cavity at a share of the way down
    deep: float  # half-depth of the lungs
    hilum: tuple[tuple[float, float], tuple[float, float]]  # right, left

    def y(self, side: int, share: float) -> float:
        """`side` is 0 for the right."""
        return self.top + share * self.height[side]


@dataclass
class Heart:
    """Sizes as factors of this child's own."""

    ratio: float  # cardiothoracic
    right_atrium: float = 1.0
    left_ventricle: float = 1.0
    pulmonary_artery: float = 1.0
    knob: float = 1.0
    vessels: float = 1.0  # calibre


def heart_of(shape: Shape, normal: Heart) -> Heart:
    """The child's heart with what the findings make of it."""
    heart = Heart(**vars(normal))
    if finding := shape.findings.get("cardiomegaly"):
        random = np.random.default_rng(finding.seed)
        heart.ratio = max(0.57 + 0.14 * finding.severity + random.uniform(-0.01, 0.01), heart.ratio + 0.06)
        heart.right_atrium *= 1.08
        heart.left_ventricle *= 1.1
    for name, changes in _DEFECTS.items():
        if (finding := shape.findings.get(name)) is None:
            continue
        random = np.random.default_rng(finding.seed)
        for part, change in changes.items():
            by = change * (0.45 + 0.55 * finding.severity) * random.uniform(0.9, 1.1)
            setattr(heart, part, getattr(heart, part) + by)
    return heart


_DEFECTS = {
    "atrial septal defect": dict(
        ratio=0.05, right_atrium=0.6, pulmonary_artery=0.8, knob=-0.42, vessels=0.85, left_ventricle=-0.08
    ),
    "ventricular septal defect": dict(ratio=0.08, left_ventricle=0.5, pulmonary_artery=0.6, vessels=0.8),
    "patent ductus arteriosus": dict(ratio=0.05, left_ventricle=0.38, pulmonary_artery=0.5, knob=0.65, vessels=0.7),
}


def side_of(finding: Finding) -> int:
    """0 for the right."""
    return 0 if finding.place.startswith("right") else 1


def add_chest_findings(anatomy: Anatomy, shape: Shape, chest: Chest, outline: list[Solid]) -> None:
    """Draws what is present. `outline` is the heart's, for its marks."""
    for name, finding in shape.findings.items():
        if name in _IN_LUNG:
            _IN_LUNG[name](anatomy, chest, finding)
        elif PLACES.get(name) == _HEART:
            anatomy.marks.extend((name, solid) for solid in outline)


def collapsed(shape: Shape, side: int) -> float:
    """Share of the cavity's half-width that the air of a pneumothorax takes on this side; 0 without one."""
    finding = shape.findings.get("pneumothorax")
    if finding is None or side_of(finding) != side:
        return 0.0
    return _gap(finding)


def _gap(finding: Finding) -> float:
    return 0.13 + 0.22 * finding.severity


def _consolidation(anatomy: Anatomy, chest: Chest, finding: Finding) -> None:
    random = np.random.default_rng(finding.seed)
    side, s = side_of(finding), finding.severity
    sign = 2 * side - 1
    share = _ZONES[finding.place.split()[1]] + random.uniform(-0.05, 0.05)
    wide = chest.wall(share)
    x = sign * wide * random.uniform(0.56, 0.66) if side == 0 else wide * random.uniform(0.64, 0.74)
    y, z = chest.y(side, share), chest.deep * random.uniform(-0.3, 0.3)
    size = chest.wall(0.8) * (0.13 + 0.09 * s)
    for number in range(6 + round(6 * s)):
        away, angle = size * (0.0, 0.75, 1.15)[number % 3], random.uniform(0, 2 * np.pi)
        half = size * random.uniform(0.55, 1.05, 2)
        cx = x + 0.8 * away * np.cos(angle)
        cx = sign * float(np.clip(abs(cx), 0.25 * wide, wide - 0.6 * half[0]))
        cy = min(y + away * np.sin(angle), chest.y(side, 0.97) - 0.3 * half[1])
        at = (cx, float(cy), z + size * random.uniform(-0.6, 0.6))
        blob = ball(at, (float(half[0]), float(half[1]), 1.0 * size), random.uniform(0, 180))
        anatomy.organ("soft", **blob, within="lung", share=0.45 + 0.3 * s)
    for _ in range(3 + round(2 * s)):  # air bronchograms
        hx, hy = chest.hilum[side]
        to = np.arctan2(y - hy, x - hx) + random.uniform(-0.5, 0.5)
        start = (x - 0.9 * size * np.cos(to), y - 0.9 * size * np.sin(to) + size * random.uniform(-0.5, 0.5))
        long = size * random.uniform(1.2, 1.8)
        bend = 0.12 * long * random.uniform(-1, 1)
        points = [
            (start[0] + part * long * np.cos(to) - off * np.sin(to), start[1] + part * long * np.sin(to) + off * np.cos(to), z)
            for part, off in ((0, 0), (0.5, bend), (1, 0))
        ]
        thin = 0.075 * size
        anatomy.organ("air", points, [1.1 * thin, 0.9 * thin, 0.5 * thin], 0.3 * size, (thin, thin), "soft")
    room = ball((x, y, z), (1.7 * size, 1.8 * size, 1.6 * size))
    anatomy.marks.append(("consolidation", _marker(room)))


def _effusion(anatomy: Anatomy, chest: Chest, finding: Finding) -> None:
    random = np.random.default_rng(finding.seed)
    side, s = side_of(finding), finding.severity
    sign = 2 * side - 1
    bottom = chest.angle[side]
    level = chest.y(side, 1.0) - (0.02 + 0.32 * s + random.uniform(-0.02, 0.02)) * chest.height[side]  # at the middle
    rise = (0.2 + 0.12 * s) * chest.height[side]  # of the meniscus, at the wall
    points, widths = [], []
    heights = ((-1.0, 0.015), (-0.66, 0.05), (-0.33, 0.14), (0.0, 0.42), (0.3, 0.72), (0.65, 0.98), (1.0, 1.0))
    for place, reach in heights:
        y = level + (place * rise if place < 0 else place * (bottom - level))
        wall = chest.wall((y - chest.top) / chest.height[side])
        width = reach * 0.96 * wall
        points.append((sign * (wall - width / 2), y, -0.1 * chest.deep))
        widths.append(width / 2)
    depths = [chest.deep * one for one in (0.25, 0.4, 0.6, 0.75, 0.75, 0.6, 0.5)]
    anatomy.organ("soft", points, widths, depths, (0.0, 0.0), "lung")
    anatomy.marks.append(
        ("pleural effusion", Solid(tuple(points), widths, depths, (0.0, 0.0), "bone", "soft"))
    )


def _pneumothorax(anatomy: Anatomy, chest: Chest, finding: Finding) -> None:
    side = side_of(finding)
    sign, gap = 2 * side - 1, _gap(finding)
    shares = (0.04, 0.1, 0.2, 0.35, 0.55, 0.75, 0.93)
    line, band, half, inner, inner_half = [], [], [], [], []
    for share in shares:
        y, wall = chest.y(side, share), chest.wall(share)
        # the air collects at the apex, and the lung falls away from there too
        away = gap * chest.wall(0.8) * (1.15 - 0.35 * share)
        down = 0.55 * gap * chest.wall(0.8) * (1 - share)
        edge = max(wall - away, 0.22 * wall)
        line.append((sign * edge, y + down, 0.1 * chest.deep))
        half.append((wall - edge) / 2)
        band.append((sign * (wall + edge) / 2, y, 0.0))
        inner.append((sign * (edge + 0.25 * wall) / 2, y + down, 0.0))
        inner_half.append(max((edge - 0.25 * wall) / 2, 1.0))
    thin = 1.15 * chest.scale**0.5
    anatomy.organ("soft", line, thin, 0.32 * chest.deep, (0.0, 4.0), "lung")
    anatomy.organ("air", band, half, 0.62 * chest.deep, (0.0, 0.0), "lung", share=0.9)
    anatomy.organ("soft", inner, inner_half, 0.5 * chest.deep, (0.0, 0.0), "lung", share=0.16)
    anatomy.marks.append(
        ("pneumothorax", Solid(tuple(band), [one + 2 * thin for one in half], chest.deep, (0.0, 0.0), "bone", "soft"))
    )


_IN_LUNG: dict[str, Callable[[Anatomy, Chest, Finding], None]] = {
    "consolidation": _consolidation,
    "pleural effusion": _effusion,
    "pneumothorax": _pneumothorax,
}


def _marker(shape: dict) -> Solid:
    return Solid(**shape, material="bone", within="soft")
