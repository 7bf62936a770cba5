"""Findings at a bone or a joint, as changes to an anatomy: fracture and the six of arthritis.

Each is a stated simplification of what a radiograph shows, with its outline as ground truth in `anatomy.marks`.
Findings that are matters of shape (heart, lungs, spine, hip) are drawn by their part's own builder.

- fracture: a dark line across the bone, displacement, a bulging cortex; after its kind.
- joint effusion: the capsule swells, and the fat stripes beside it bow outwards.
- joint space narrowing: the bone ends come closer, until a dense line shows where they touch.
- erosion: bites out of the margins of the bone ends, with a dense rim.
- bony change: dense subchondral bone with small cysts beneath it, and spurs.
- soft tissue swelling: the outline bulges to one side, and strands of fluid run through the fat.
- inflammation: the bone beside the joint loses its mineral in spots.

Arthritis seldom keeps to one small joint: neighbours of the named joint, where a part has several, show it too.
Signs have about as much light as dark, so that the mean of a film, or of a piece of it, says little about them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .anatomy.solids import Anatomy, Break, FractureSite, Joint, Point, Profile, Solid, ball
from .materials import attenuation
from .records import ARTHRITIS_CONCEPTS, Finding

NEEDS_TWO_BONES = ("joint space narrowing", "erosion", "bony change", "inflammation")


def fitting_places(anatomy: Anatomy, name: str) -> list[str]:
    """Where in this child's anatomy a fracture or a joint finding can be; cartilage has nothing to erode."""
    if name == "fracture":
        return list(anatomy.sites)
    if name in ARTHRITIS_CONCEPTS:
        least = 2 if name in NEEDS_TWO_BONES else 0
        return [joint.name for joint in anatomy.joints.values() if len(joint.faces) >= least]
    return []


def add_findings(anatomy: Anatomy, findings: Sequence[Finding]) -> None:
    """Changes the anatomy in place: joints get their fat stripes, sick or not, and then each finding its signs."""
    effusions: dict[str, float] = {}
    for finding in findings:
        if finding.name == "joint effusion":
            effusions |= dict(_affected(anatomy, finding))
    for joint in anatomy.joints.values():
        _fat_stripes(anatomy, joint, effusions.get(joint.name, 0.0))
    for finding in findings:
        random = np.random.default_rng(finding.seed)
        if finding.name == "fracture":
            _fracture(anatomy, finding, random)
        elif finding.name in _AT_JOINT:
            for name, severity in _affected(anatomy, finding):
                _AT_JOINT[finding.name](anatomy, anatomy.joints[name], severity, random)


def _affected(anatomy: Anatomy, finding: Finding) -> list[tuple[str, float]]:
    """The named joint, and its neighbours at three quarters of the severity."""
    named = anatomy.joints[finding.place]
    reach = 0.3 * max(anatomy.extent)
    found = [(named.name, finding.severity)]
    for joint in anatomy.joints.values():
        distance = np.hypot(joint.centre[0] - named.centre[0], joint.centre[1] - named.centre[1])
        alike = 0.5 < joint.width / named.width < 2
        if joint.name != named.name and distance < reach and alike:
            found.append((joint.name, 0.75 * finding.severity))
    return found


# ---- fractures


def _fracture(anatomy: Anatomy, finding: Finding, random: np.random.Generator) -> None:
    site = anatomy.sites[finding.place]
    solid = anatomy.solids[site.solid]
    length = _length(solid)
    at = _place_of_break(anatomy, site, finding.kind, random)
    half = _value(solid.width, at)
    s = finding.severity
    side = 1.0 if random.random() < 0.5 else -1.0
    angle = random.uniform(0, 2 * np.pi)
    move = half * (0.25 + 0.7 * s)
    slope, line, depth, reach, bulge = random.uniform(-0.15, 0.15), 0.15 + 0.25 * s, 0.95, (-1.1, 1.1), 0.06
    waves = (0.12 * half, float(random.uniform(0, 6)), float(random.uniform(5, 9)))
    if finding.kind == "oblique":
        slope = side * random.uniform(0.7, 1.1)
    elif finding.kind == "spiral":
        slope, waves = side * random.uniform(1.5, 2.0), (0.5 * half, waves[1], 3.0)
    elif finding.kind == "buckle":
        line, move, bulge = 0.0, 0.0, 0.25 + 0.35 * s
    elif finding.kind == "greenstick":
        reach = (-1.1, 0.15) if side > 0 else (-0.15, 1.1)
        move, bulge = 0.45 * move, 0.1 + 0.1 * s
    elif finding.kind == "Salter-Harris II":
        slope, reach = side * random.uniform(0.15, 0.5), (-1.1, 1.1)
    width = half * line * 2
    spread = max(3.2 * half, 2.5 * move)
    spread = min(spread, 0.45 * length)
    step = (move * np.cos(angle), 0.0, move * np.sin(angle))
    anatomy.breaks.append(Break(site.solid, at, float(slope), width, depth, reach, step, bulge, float(spread), waves))
    deep = _value(solid.depth, at)
    # another view looks at the bone's depth, and the line runs as far across that
    run = abs(slope) * max(half, deep) + waves[0] + width if line else 0.5 * spread
    far = run if move == 0 else max(run, spread)
    middle = [
        np.interp(np.clip(place, 0, 1), np.linspace(0, 1, len(solid.path)), [point[axis] for point in solid.path])
        for place in (at - run / length, at + far / length)
        for axis in range(3)
    ]
    start, end = tuple(map(float, middle[:3])), tuple(map(float, middle[3:]))
    room = (half * (1 + bulge) + move, deep * (1 + bulge) + move)
    anatomy.marks.append(("fracture", Solid((start, end), *room, (0.0, 0.0), "bone", "soft")))


def _place_of_break(anatomy: Anatomy, site: FractureSite, kind: str | None, random: np.random.Generator) -> float:
    """A share of the bone's length, in the part of the stretch that is well on the film."""
    if kind == "Salter-Harris II":  # beside the growth plate, which is at the far end of the stretch
        near_end = site.high > 1 - site.low
        return site.high - 0.01 if near_end else site.low + 0.01
    path = np.array(anatomy.solids[site.solid].path)
    shares = np.linspace(site.low, site.high, 41)
    points = np.stack([np.interp(shares, np.linspace(0, 1, len(path)), path[:, axis]) for axis in (0, 1)], 1)
    distance = np.abs(points).max(1)
    seen = shares[distance < max(0.36 * max(anatomy.extent), distance.min() + 1e-6)]
    return float(seen[int(random.random() * len(seen))])


# ---- joints


def _fat_stripes(anatomy: Anatomy, joint: Joint, effusion: float) -> None:
    """A thin stripe of fat on either side of the joint, in both planes; an effusion bows and thickens it."""
    along, across = _axes(joint)
    high = 0.6 * joint.width + joint.gap
    for frontal, half in ((True, joint.width), (False, joint.depth)):
        rest = 1.1 * half
        out = rest + (0.15 + 0.45 * effusion) * half * (effusion > 0)
        for side in (-1.0, 1.0):
            points = []
            for place, bow in ((-1.0, 0.0), (-0.5, 0.75), (0.0, 1.0), (0.5, 0.75), (1.0, 0.0)):
                distance = side * (rest + (out - rest) * bow)
                x = joint.centre[0] + place * high * along[0] + (distance * across[0] if frontal else 0.0)
                y = joint.centre[1] + place * high * along[1] + (distance * across[1] if frontal else 0.0)
                points.append((x, y, joint.centre[2] + (0.0 if frontal else distance)))
            thick = (0.07 + 0.1 * effusion) * joint.width
            thin = [0.0, 0.7 * thick, thick, 0.7 * thick, 0.0]
            deep = 0.75 * (joint.depth if frontal else joint.width)
            widths, depths = (thin, deep) if frontal else (deep, thin)
            anatomy.organ("fat", points, widths, depths, share=1.0 + 2.5 * effusion)


def _effusion(anatomy: Anatomy, joint: Joint, severity: float, random: np.random.Generator) -> None:
    wide, high = joint.width * (1.05 + 0.4 * severity), 0.6 * joint.width + joint.gap
    tilt = _tilt(joint)
    lens = ball(joint.centre, (wide, high, joint.depth), tilt)
    _add(anatomy, lens, 0.15 + 0.25 * severity)
    outline = ball(joint.centre, (1.35 * wide, 1.15 * high, 1.3 * joint.depth), tilt)
    anatomy.muscle.append(Solid(**outline, material="soft", within="air"))
    room = ball(joint.centre, (1.4 * wide, 1.25 * high, joint.depth * (1.4 + 0.5 * severity)), tilt)
    anatomy.marks.append(("joint effusion", _marker(room)))


def _narrowing(anatomy: Anatomy, joint: Joint, severity: float, random: np.random.Generator) -> None:
    closer = joint.gap * (0.6 + 0.8 * severity)
    for number, end in joint.faces:
        solid = anatomy.solids[number]
        tip, inwards = _end(solid, end)
        by = closer / len(joint.faces)
        moved = tuple(float(a - b * by) for a, b in zip(tip, inwards, strict=True))
        solid.path = (moved, *solid.path[1:]) if end == 0 else (*solid.path[:-1], moved)
    _, across = _axes(joint)
    x, y, z = joint.centre
    half = 0.85 * joint.width
    line = tuple((x + side * half * across[0], y + side * half * across[1], z) for side in (-1, 1))
    thin = max(0.45 * joint.gap, 0.007 * max(anatomy.extent))  # where the ends touch, the beam meets both
    strength = float(np.clip(joint.depth / 18.0, 0.35, 1.0))
    touching = dict(path=line, width=thin, depth=0.8 * joint.depth, caps=(thin, thin))
    _add(anatomy, touching, strength * (0.25 + 0.8 * severity))
    room = ball(joint.centre, (1.15 * joint.width, joint.gap + 0.35 * joint.width, 1.2 * joint.depth), _tilt(joint))
    anatomy.marks.append(("joint space narrowing", _marker(room)))


def _erosion(anatomy: Anatomy, joint: Joint, severity: float, random: np.random.Generator) -> None:
    least = 0.022 * max(anatomy.extent)
    for end in _ends(anatomy, joint):
        first = 1.0 if random.random() < 0.5 else -1.0
        for place in (first, -first, 0.35 * first):
            size = max(end.half * (0.23 + 0.14 * severity), least) * random.uniform(0.85, 1.2)
            centre = end.at(inwards=size * random.uniform(0.5, 1.0), across=place * end.half * 0.85)
            _add(anatomy, ball(centre, (1.3 * size, 1.3 * size, end.depth)), end.strength * (0.2 + 0.3 * severity))
            _add(anatomy, ball(centre, (size, size, end.depth)), -end.strength * (0.5 + 0.8 * severity))
            anatomy.marks.append(("erosion", _marker(ball(centre, (1.4 * size, 1.4 * size, 1.1 * end.depth)))))


def _bony_change(anatomy: Anatomy, joint: Joint, severity: float, random: np.random.Generator) -> None:
    least = 0.014 * max(anatomy.extent)
    for end in _ends(anatomy, joint):
        thick = max(end.half * 0.12, least)
        band = dict(
            path=tuple(end.at(inwards=0.8 * thick, across=side * end.half * 0.95) for side in (-1, 1)),
            width=thick,
            depth=0.8 * end.depth,
            caps=(thick, thick),
        )
        _add(anatomy, band, end.strength * (0.4 + 0.6 * severity))
        for place in (-0.5, 0.05, 0.55):  # cysts below the band
            size = 1.5 * thick * random.uniform(0.8, 1.2)
            at = end.at(inwards=3.4 * thick, across=(place + random.uniform(-0.12, 0.12)) * end.half)
            _add(anatomy, ball(at, (size, size, 0.6 * end.depth)), -end.strength * (0.35 + 0.55 * severity))
        long = max(end.half * (0.2 + 0.3 * severity), 2 * least)
        for side in (-1.0, 1.0):
            root = end.at(inwards=thick, across=side * end.half * 0.85)
            tip = end.at(inwards=-0.3 * long, across=side * (end.half * 0.85 + long * random.uniform(0.9, 1.2)))
            spur = dict(path=(root, tip), width=[1.1 * thick, 0.5 * thick], depth=0.45 * end.depth, caps=(0.0, thick))
            _add(anatomy, spur, end.strength * (0.25 + 0.3 * severity))
        room = dict(
            path=tuple(end.at(inwards=2 * thick, across=side * (end.half + 1.4 * long)) for side in (-1, 1)),
            width=5.5 * thick,
            depth=1.1 * end.depth,
            caps=(0.0, 0.0),
        )
        anatomy.marks.append(("bony change", _marker(room)))


def _swelling(anatomy: Anatomy, joint: Joint, severity: float, random: np.random.Generator) -> None:
    along, across = _axes(joint)
    side = 1.0 if random.random() < 0.5 else -1.0
    size = max(joint.width, 0.05 * max(anatomy.extent))
    # one bulge beside the joint and, because another view looks from there, one in front of or behind it
    for frontal in (True, False):
        out = 1.05 * (size if frontal else max(joint.depth, 0.6 * size))
        x, y, z = joint.centre
        centre = (x + side * out * across[0], y + side * out * across[1], z) if frontal else (x, y, z + side * out)
        half = (size * (0.8 + 0.5 * severity), size * (1.1 + 0.4 * severity), size * (0.8 + 0.5 * severity))
        bulge = ball(centre, half, _tilt(joint))
        anatomy.skin.append(Solid(**bulge, material="fat", within="air"))
        for strand in range(7):
            place = (strand - 3) / 3 + random.uniform(-0.12, 0.12)
            lean = random.uniform(-0.35, 0.35)
            ends = []
            for reach in (-0.75, 0.75):
                off_x = reach * half[0] * across[0] + (place + lean * reach) * half[1] * 0.75 * along[0]
                off_y = reach * half[0] * across[1] + (place + lean * reach) * half[1] * 0.75 * along[1]
                ends.append((centre[0] + off_x, centre[1] + off_y, centre[2]))
            line = dict(path=tuple(ends), width=0.07 * size, depth=0.5 * half[2], caps=(0.1 * size, 0.1 * size))
            _add(anatomy, line, 0.15 + 0.25 * severity)
        anatomy.marks.append(("soft tissue swelling", _marker(bulge)))


def _inflammation(anatomy: Anatomy, joint: Joint, severity: float, random: np.random.Generator) -> None:
    size = 0.02 * max(anatomy.extent)
    for end in _ends(anatomy, joint):
        deep = max(1.5 * end.half, 6 * size)
        rows, columns = max(2, round(deep / (3.2 * size))), max(2, round(2 * end.half / (3.2 * size)))
        for row in range(min(rows, 5)):
            for column in range(min(columns, 6)):
                across = ((column + 0.5) / min(columns, 6) * 2 - 1 + random.uniform(-0.1, 0.1)) * 0.9 * end.half
                inwards = (row + 0.6 + random.uniform(-0.25, 0.25)) * 3.2 * size
                spot = ball(end.at(inwards, across), (size, size, 0.8 * end.depth))
                _add(anatomy, spot, -end.strength * (0.5 + 0.7 * severity))
        far = (min(rows, 5) + 0.8) * 3.2 * size
        room = dict(path=(end.at(0.0, 0.0), end.at(far, 0.0)), width=1.1 * end.half, depth=end.depth, caps=(0.0, 0.0))
        anatomy.marks.append(("inflammation", _marker(room)))


_AT_JOINT: dict[str, Callable[[Anatomy, Joint, float, np.random.Generator], None]] = {
    "joint effusion": _effusion,
    "joint space narrowing": _narrowing,
    "erosion": _erosion,
    "bony change": _bony_change,
    "soft tissue swelling": _swelling,
    "inflammation": _inflammation,
}


# ---- geometry


def _add(anatomy: Anatomy, shape: dict, change: float) -> None:
    """A solid that changes the optical depth by `change` in the middle, seen from the front; its mean says little."""
    depth = shape["depth"] if isinstance(shape["depth"], int | float) else max(shape["depth"])
    step = attenuation("bone", anatomy.energy) - attenuation("soft", anatomy.energy)
    materials = ("bone", "soft") if change > 0 else ("soft", "bone")
    anatomy.organ(materials[0], within=materials[1], share=abs(change) / (step * 2 * max(depth, 1e-3)), **shape)


class _BoneEnd:
    """One of the two bone ends that face each other: where its tip is, and how wide and deep it is there."""

    def __init__(self, solid: Solid, end: int):
        self.tip, self.inwards = _end(solid, end)
        self.sideways = _across(self.inwards)
        self.half, self.depth = _near_end(solid.width, end), _near_end(solid.depth, end)
        # thin bones have little optical depth, so a change of it has to be smaller for the same look
        self.strength = float(np.clip(self.depth / 18.0, 0.35, 1.0))

    def at(self, inwards: float, across: float) -> Point:
        x, y, z = self.tip + inwards * self.inwards + across * self.sideways
        return float(x), float(y), float(z)


def _ends(anatomy: Anatomy, joint: Joint) -> list[_BoneEnd]:
    return [_BoneEnd(anatomy.solids[number], end) for number, end in joint.faces]


def _axes(joint: Joint) -> tuple[tuple[float, float], tuple[float, float]]:
    """Unit vectors in the frontal plane: from bone to bone, and across."""
    size = float(np.hypot(*joint.axis)) or 1.0
    along = (joint.axis[0] / size, joint.axis[1] / size)
    return along, (-along[1], along[0])


def _tilt(joint: Joint) -> float:
    return float(np.rad2deg(np.arctan2(-joint.axis[0], joint.axis[1])))


def _end(solid: Solid, end: int) -> tuple[np.ndarray, np.ndarray]:
    """The tip of a bone and the unit vector from it into the bone."""
    tip = np.array(solid.path[-end])  # 0 is the first, -1 the last
    next_ = np.array(solid.path[1] if end == 0 else solid.path[-2])
    inwards = next_ - tip
    return tip, inwards / max(float(np.linalg.norm(inwards)), 1e-6)


def _across(inwards: np.ndarray) -> np.ndarray:
    across = np.array([-inwards[1], inwards[0], 0.0])
    size = float(np.linalg.norm(across))
    return across / size if size > 1e-3 else np.array([1.0, 0.0, 0.0])


def _length(solid: Solid) -> float:
    points = np.array(solid.path)
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def _value(profile: Profile, at: float) -> float:
    if isinstance(profile, int | float):
        return float(profile)
    return float(np.interp(at, np.linspace(0, 1, len(profile)), profile))


def _near_end(profile: Profile, end: int) -> float:
    return _value(profile, 0.08 if end == 0 else 0.92)


def _marker(shape: dict) -> Solid:
    return Solid(**shape, material="bone", within="soft")
