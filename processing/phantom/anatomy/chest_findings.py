"""Findings of the chest as matters of shape: added to, or changed in, a chest that is otherwise the same child's.

Each finding draws its own shape from its own seed, so the normal twin keeps its own numbers. Stated simplifications:
fluid lies free and the child is upright; what a lateral view shows of it is faint; a pneumothorax lets the lung shrink
and shifts no mediastinum; shunts show the textbook's chambers:

- atrial septal defect: right atrium, right ventricle and main pulmonary artery large, aortic knob small, plethora;
- ventricular septal defect: left ventricle and main pulmonary artery large, plethora;
- patent ductus arteriosus: left ventricle, aortic knob and main pulmonary artery large, plethora.
"""

# Shapes: V levels of a lung, from its apex down to its base
from dataclasses import dataclass, replace

import numpy as np

from .solids import Anatomy, Shape, Solid, ball

_ZONES = ("upper zone", "middle zone", "lower zone")
_SIDES = ("right hemithorax", "left hemithorax")
_HEART = ("cardiomegaly", "atrial septal defect", "ventricular septal defect", "patent ductus arteriosus")
PLACES: dict[str, tuple[str, ...]] = {
    "consolidation": tuple(f"{side} {zone}" for side in ("right", "left") for zone in _ZONES),
    "pleural effusion": _SIDES,
    "pneumothorax": _SIDES,
    **dict.fromkeys(_HEART, ("heart",)),
}


@dataclass
class Lung:
    """One lung, or the cavity that it fills, by levels. Borders are distances from the midline, mm."""

    side: int  # -1 right, which is the picture's left; 1 left
    y: np.ndarray  # (V,)
    medial: np.ndarray  # (V,)
    lateral: np.ndarray  # (V,)
    depth: np.ndarray  # (V,) half
    dome: float  # y of the diaphragm's summit
    hilum: tuple[float, float, float]
    scale: float  # lengths as a share of an adult's
    heart: float = 0.0  # how far the heart reaches into this side

    @property
    def tall(self) -> float:
        return float(self.y[-1] - self.y[0])

    def at(self, values: np.ndarray, y: float) -> float:
        return float(np.interp(y, self.y, values))

    def path(self) -> np.ndarray:
        """(V, 3) its middle."""
        return np.stack([self.side * (self.medial + self.lateral) / 2, self.y, np.zeros(len(self.y))], 1)

    def solid(self, material: str, within: str, share: float = 1.0, line: float | None = None) -> Solid:
        """All of it, or only a shell `line` mm thick."""
        half = (self.lateral - self.medial) / 2
        cap = min(46 * self.scale, 0.3 * self.tall)
        solid = Solid(
            tuple(map(tuple, self.path().tolist())), half.tolist(), self.depth.tolist(), (cap, 0.0), material, within
        )
        solid.mineral = share
        if line is not None:
            solid.cortex, solid.marrow, solid.end_cortex = line, within, 0.4 * line
        return solid


@dataclass(frozen=True)
class Heart:
    """What findings make of the heart and the great vessels: 0 is as in health, 1 marked."""

    wider: float = 0.0  # added to the cardiothoracic ratio
    right_atrium: float = 0.0
    right_ventricle: float = 0.0
    left_ventricle: float = 0.0
    pulmonary_artery: float = 0.0
    aorta: float = 0.0
    plethora: float = 0.0


def heart_changes(shape: Shape, ratio: float) -> Heart:
    """For a heart whose own cardiothoracic ratio is `ratio`."""
    big, atrial, ventricular, ductus = (shape.severity(name) for name in _HEART)
    return Heart(
        wider=max(0.58 - ratio, 0.03) * min(big / 0.3, 1) + 0.13 * big,
        right_atrium=atrial,
        right_ventricle=atrial,
        left_ventricle=max(ventricular, ductus),
        pulmonary_artery=max(atrial, 0.85 * ventricular, 0.7 * ductus),
        aorta=ductus - 0.8 * atrial,
        plethora=max(atrial, ventricular, 0.9 * ductus),
    )


def mark_heart(anatomy: Anatomy, shape: Shape, outline: Solid):
    """The mask of the heart's findings is the heart."""
    anatomy.marks.extend((name, outline) for name in _HEART if shape.severity(name) > 0)


def collapsed(shape: Shape, cavity: Lung) -> Lung:
    """The lung beside a pneumothorax, drawn in from the wall and most from the apex; else the cavity itself."""
    severity = shape.severity("pneumothorax")
    if not severity or _side(shape, "pneumothorax") != cavity.side:
        return cavity
    random = np.random.default_rng(shape.findings["pneumothorax"].seed)
    away, fall, below = random.uniform(0.9, 1.15), random.uniform(0.8, 1.2), random.uniform(0.15, 0.6)
    y = np.linspace(
        float(cavity.y[0]) + (0.04 + 0.1 * severity) * fall * cavity.tall, float(cavity.y[-1]), len(cavity.y)
    )
    lateral, medial, depth = (np.interp(y, cavity.y, one) for one in (cavity.lateral, cavity.medial, cavity.depth))
    share = np.linspace(0, 1, len(y))
    gone = (0.09 + 0.24 * severity) * away * (1 - (1 - below) * share**1.2)
    lateral = lateral - gone * (lateral - np.maximum(medial, 0))
    return replace(cavity, y=y, lateral=lateral, medial=medial, depth=0.97 * depth)


def add_pneumothorax(anatomy: Anatomy, shape: Shape, cavity: Lung, lung: Lung):
    """Air in the cavity, the smaller lung in it, and the pleura as a line at the lung's edge."""
    if lung is cavity:
        return
    air = 0.5  # of the difference to lung: before and behind the gap the beam still meets lung and skin folds
    anatomy.add(cavity.solid("air", "lung", air))
    anatomy.add(lung.solid("lung", "air", air * 1.05))  # the same tissue in less room
    anatomy.add(lung.solid("soft", "lung", 1.0, line=2.2 * lung.scale**0.7))
    outer = np.interp(lung.y, cavity.y, cavity.lateral)
    middle = lung.side * (outer + lung.lateral) / 2
    path = tuple(zip(middle.tolist(), lung.y.tolist(), [0.0] * len(lung.y), strict=True))
    half = ((outer - lung.lateral) / 2 + lung.scale).tolist()
    anatomy.marks.append(("pneumothorax", Solid(path, half, lung.depth.tolist(), (0.0, 0.0), "air", "lung")))
    over = float(lung.y[0] - cavity.y[0]) / 2 + 3 * lung.scale
    x = lung.side * (float(cavity.medial[0] + cavity.lateral[0]) / 2 + 4 * lung.scale)
    apex = ball((x, float(cavity.y[0]) + over, 0.0), (0.36 * float(cavity.lateral[0]), over, over))
    anatomy.marks.append(("pneumothorax", Solid(**apex, material="air", within="lung")))


def add_effusion(anatomy: Anatomy, shape: Shape, lung: Lung):
    """Fluid in the costophrenic angle; its upper edge climbs the wall as a meniscus."""
    severity = shape.severity("pleural effusion")
    if not severity or _side(shape, "pleural effusion") != lung.side:
        return
    random = np.random.default_rng(shape.findings["pleural effusion"].seed)
    above = (0.03 + 0.26 * severity) * lung.tall * random.uniform(0.85, 1.15)
    base = float(lung.y[-1])
    top = max(lung.dome + 0.25 * (base - lung.dome) - above, lung.y[0] + 0.3 * lung.tall)
    share = np.linspace(0, 1, 15)  # from the meniscus' tip down
    y = top + (base - top) * share
    wall, inner, deep = (np.interp(y, lung.y, one) for one in (lung.lateral, lung.medial, lung.depth))
    # thin along the wall, broad below, and no further than the dome where that stands
    steep = random.uniform(2.0, 2.8) - 0.6 * severity
    level = lung.dome + (0.7 - 0.5 * severity) * (base - lung.dome)
    climb = np.clip((y - top) / (level - top), 0, 1) ** steep
    wide = (wall - np.maximum(inner, 0)) * (0.04 + (0.4 + 0.45 * severity) * climb)
    risen = np.clip((base - y) / (base - lung.dome), 0, 1)
    beside = (wall - inner) / 2 * (1 - np.sqrt(1 - risen**2)) + 10 * lung.scale
    wide = np.where(y > lung.dome, np.minimum(wide, beside), wide)
    path = np.stack([lung.side * (wall - wide / 2), y, -0.3 * (1 - share) * deep], 1)
    depth = deep * (0.35 + 0.45 * share**0.7) * np.where(y > lung.dome, 0.1 + 0.6 * risen, 1.0)
    slope = np.gradient(wall - wide / 2, y)
    half = wide / 2 / np.sqrt(1 + np.minimum(slope**2, 9))  # across its path, which leans
    fluid = Solid(tuple(map(tuple, path.tolist())), half.tolist(), depth.tolist(), (0.0, 0.0), "water", "lung")
    fluid.mineral = 0.85
    anatomy.add(fluid)
    anatomy.marks.append(("pleural effusion", fluid))


def add_consolidation(anatomy: Anatomy, shape: Shape, lung: Lung):
    """A cloud of overlapping patches in one zone of one lung, with air-filled bronchi in it where it is dense."""
    severity = shape.severity("consolidation")
    if not severity or _side(shape, "consolidation") != lung.side:
        return
    random = np.random.default_rng(shape.findings["consolidation"].seed)
    zone = _ZONES.index(shape.findings["consolidation"].place.split(" ", 1)[1])
    top = float(lung.y[0]) + 0.08 * lung.tall
    y0 = top + (lung.dome - top) * (zone + random.uniform(0.25, 0.7)) / 3
    inner = max(lung.at(lung.medial, y0) + 12 * lung.scale, 0.8 * lung.heart * zone / 2)
    outer = lung.at(lung.lateral, y0)
    x0 = inner + (outer - inner) * random.uniform(0.25, 0.75)
    z0 = lung.at(lung.depth, y0) * random.uniform(-0.4, 0.4)
    radius = (20 + 17 * severity) * lung.scale * random.uniform(0.85, 1.15)
    count = 13 + round(7 * severity)
    angle, distance = random.uniform(0, 2 * np.pi, count), np.sqrt(random.uniform(0, 1, count))
    sizes, tilts = random.uniform(0.25, 0.68, (count, 3)) * radius, random.uniform(-90, 90, count)
    strengths = (0.2 + 0.34 * severity) * random.uniform(0.6, 1.4, count)
    for number, half in enumerate(sizes):
        y = y0 + 0.8 * radius * distance[number] * np.sin(angle[number])
        y = float(np.clip(y, lung.y[0] + 1.2 * half[1], max(lung.dome + 0.3 * half[1], lung.y[0] + 2 * half[1])))
        x = x0 + 0.8 * radius * distance[number] * np.cos(angle[number])
        # the cloud ends at the wall
        x = float(np.clip(x, lung.at(lung.medial, y) + half[0], lung.at(lung.lateral, y) - half[0]))
        place = ball((lung.side * x, y, z0), (half[0], half[1], 1.2 * half[2]), tilts[number])
        cloud = Solid(**place, material="soft", within="lung", mineral=float(strengths[number]))
        anatomy.add(cloud)
        anatomy.marks.append(("consolidation", cloud))
    away = np.arctan2(y0 - lung.hilum[1], x0 - abs(lung.hilum[0]))
    for sway, start in zip(random.uniform(-0.5, 0.5, 2), random.uniform(-0.8, -0.4, 2), strict=True):
        dx, dy = np.cos(away + sway) * radius, np.sin(away + sway) * radius
        ends = [(lung.side * (x0 + dx * t), y0 + dy * t, z0) for t in (start, start + 1.1)]
        thin = 1.5 * lung.scale
        anatomy.organ("air", ends, [thin, 0.6 * thin], [1.6 * thin, thin], within="soft", share=0.9 * severity)


def _side(shape: Shape, finding: str) -> int:
    return -1 if shape.findings[finding].place.startswith("right") else 1
