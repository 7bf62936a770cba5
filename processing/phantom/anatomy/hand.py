"""Hand, finger and wrist: what a film of each shows. Coordinates and measures as in hand_bones.py."""

import numpy as np

from ..growth import flesh_scale, length_scale
from .bones import round_bone
from .hand_bones import ORDINALS, RAYS, Frame, Tube, along, carpals, forearm_ends, heading, metacarpal, phalanges, tube
from .part import BodyPart, View
from .solids import Anatomy, Point, Shape, draws


def palm_flesh(anatomy: Anatomy, frame: Frame, f: float, length: float):
    """Palm to the webs of the fingers, wrist and `length` mm of the forearm."""
    path = frame.path(
        [(2, -length, -1), (2, -20, -1), (1, 5, -2), (0, 38, -4), (1, 72, -3), (3, 100, -2), (4, 120, -2)]
    )
    wide = [36 * f, 28 * f, 29 * f, 35 * f, 39 * f, 39 * f, 33 * f]
    deep = [26 * f, 18 * f, 18 * f, 17 * f, 13.5 * f, 10 * f, 6.5 * f]
    anatomy.flesh(path, wide, deep, (0, 12 * f), skin=2.2 * f)


def finger_flesh(anatomy: Anatomy, frame: Frame, f: float, ray: int, points: list[Point]):
    """A finger from inside the palm to its tip; `points` are the knuckles from the metacarpophalangeal joint on."""
    thick = RAYS[ray].half / 8.2 * f
    knuckle, middle = points[0], points[1]
    inside = tuple(a - 0.4 * (b - a) for a, b in zip(knuckle, middle, strict=True))
    half_way = tuple((a + b) / 2 for a, b in zip(knuckle, middle, strict=True))
    wide = [9.5 * thick, 10.4 * thick, 10.0 * thick, 8.9 * thick, 7.2 * thick]
    deep = [8 * thick, 9.6 * thick, 8.8 * thick, 7.6 * thick, 5.8 * thick]
    anatomy.flesh(frame.path([inside, half_way, *points[1:]]), wide, deep, (9 * f, 8 * f), skin=1.5 * f)


def thumb_flesh(anatomy: Anatomy, frame: Frame, f: float, points: list[Point]):
    """The ball of the thumb and the thumb; `points` are its knuckles from the metacarpophalangeal joint on."""
    wide = [19 * f, 17.5 * f, 12 * f, 9.8 * f, 7.6 * f][: len(points) + 2]
    deep = [13 * f, 13.5 * f, 11 * f, 9 * f, 6.5 * f][: len(points) + 2]
    anatomy.flesh(frame.path([(-12, 20, -8), (-22, 44, -12), *points]), wide, deep, (14 * f, 8 * f), skin=1.8 * f)


def build_hand(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.04)
    # children's fingers are plump, yet they do not touch when they are spread
    f = s * (flesh_scale(patient) / length_scale(patient)) ** 0.7
    splay, flex = shape.vary(0.3), 5 + shape.offset(4)
    noise = draws(shape, 8, 4)
    rays = draws(shape, 5, 6)
    frame = Frame(s, (-7.0, 87.0))
    anatomy = Anatomy(extent=(170 * s, 238 * s), energy=35)
    palm_flesh(anatomy, frame, f, 60)
    _, radius_end, _ = forearm_ends(anatomy, patient, frame, draws(shape, 3), 60)
    numbers = carpals(anatomy, patient, frame, noise)
    gaps = (2.5 * shape.vary(0.08), 2.2 * shape.vary(0.08))
    for ray, one in enumerate(RAYS):
        own = rays[ray]
        bone = f"{ORDINALS[ray]} metacarpal"
        tubed = metacarpal(anatomy, patient, frame, ray, 1.2 * float(own[0]), bone)
        kinds = ("proximal", "middle", "distal") if ray else ("proximal", "distal")
        names = [f"{ORDINALS[ray]} {kind} phalanx" for kind in kinds]
        lean = one.splay * splay * (0.6 if ray == 0 else 1.0) + (-14 if ray == 0 else 0) + 2 * float(own[1])
        dips = [flex + 4 * float(own[2]), 4 + 3 * float(own[3]), 3.0]
        tubes, points = phalanges(anatomy, patient, frame, ray, tubed.end, lean, dips, names, own[3:], gaps)
        if ray == 0:
            thumb_flesh(anatomy, frame, f, points)
            beside = along(tubed.end, heading(one.lean, one.dip), -3)
            round_bone(
                anatomy,
                patient,
                "sesamoid",
                frame.at((beside[0] + 8, beside[1] + 1, beside[2] - 5)),
                (2.2 * s, 2.8 * s, 2 * s),
                12.7,
                15,
                cortex=0.6 * s,
            )
        else:
            finger_flesh(anatomy, frame, f, ray, points)
        finger_joints(anatomy, frame, ORDINALS[ray], ray, tubed, tubes, gaps)
        if ray in (2, 4):
            anatomy.may_break(bone, tubed.shaft, 0.2, 0.9, physis=True)
        if ray == 1:
            anatomy.may_break(names[0], tubes[0].shaft, 0.06, 0.75, physis=True)
    wrist_joint(anatomy, frame, radius_end, numbers)
    return anatomy


def finger_joints(anatomy: Anatomy, frame: Frame, ordinal: str, ray: int, meta: Tube, tubes: list[Tube], gaps):
    s, half = frame.s, RAYS[ray].half
    pairs = [("metacarpophalangeal", meta, tubes[0]), ("proximal interphalangeal", tubes[0], tubes[1])]
    if len(tubes) == 3:
        pairs.append(("distal interphalangeal", tubes[1], tubes[2]))
    for row, (kind, near, far) in enumerate(pairs):
        head = near.epiphysis if row == 0 else near.shaft
        faces = [(number, 1) for number in (head, far.epiphysis) if number is not None]
        start, end = frame.at(near.end), frame.at(far.start)
        across = np.subtract(end, start)[:2]
        axis = across / max(float(np.hypot(*across)), 1e-6)
        centre = tuple((a + b) / 2 for a, b in zip(start, end, strict=True))
        size = half * (1.0, 0.85, 0.7)[row] * s
        name = f"{ordinal} {kind} joint".strip()
        anatomy.joint(name, centre, size, 0.8 * size, gaps[min(row, 1)] * s, faces, (float(axis[0]), float(axis[1])))


def wrist_joint(anatomy: Anatomy, frame: Frame, radius_end: int | None, numbers: dict[str, int | None]):
    s = frame.s
    faces = [(number, 1) for number in (radius_end, numbers["lunate"], numbers["scaphoid"]) if number is not None]
    anatomy.joint("wrist joint", frame.at((-7, 0.3, 0)), 16 * s, 9 * s, 2.6 * s, faces)


def build_wrist(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.04)
    f = s * (flesh_scale(patient) / length_scale(patient)) ** 0.8
    abducted = shape.offset(5)
    noise = draws(shape, 8, 4)
    rays = draws(shape, 5)
    frame = Frame(s, (0.0, 8.0))
    anatomy = Anatomy(extent=(96 * s, 124 * s), energy=36)
    palm_flesh(anatomy, frame, f, 120)
    radius, radius_end, ulna = forearm_ends(anatomy, patient, frame, draws(shape, 3), 120)
    numbers = carpals(anatomy, patient, frame, noise)
    for ray, one in enumerate(RAYS):
        lean = float(rays[ray]) + (abducted if ray == 0 else 0.0)
        bone = metacarpal(anatomy, patient, frame, ray, lean, f"{ORDINALS[ray]} metacarpal")
        direction = heading(one.lean + lean, one.dip)
        # of the phalanges only what a film of the wrist may still show
        tube(
            anatomy,
            patient,
            frame,
            f"{ORDINALS[ray]} proximal phalanx",
            along(bone.end, direction, 2.5),
            direction,
            one.lengths[1],
            (one.half, 0.58 * one.half, 0.7 * one.half),
            1.7,
            "base",
            (1.9, 16.0),
            4.2,
        )
        if ray == 0:
            thumb_flesh(anatomy, frame, f, [bone.end, along(bone.end, direction, 34)])
    wrist_joint(anatomy, frame, radius_end, numbers)
    anatomy.may_break("distal radius", radius, 0.03, 0.42, physis=True)
    anatomy.may_break("distal ulna", ulna, 0.03, 0.42, physis=True)
    return anatomy


def build_finger(shape: Shape) -> Anatomy:
    """One of the four fingers, from the metacarpal's head on; the others are held out of the beam."""
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.05)
    f = s * (flesh_scale(patient) / length_scale(patient)) ** 0.7 * shape.vary(0.04)
    ray = int(shape.random.integers(1, 5))
    noise, bends = draws(shape, 3), draws(shape, 4)
    one = RAYS[ray]
    whole = sum(one.lengths[1:])
    gaps = (2.6 * shape.vary(0.08), 2.3 * shape.vary(0.1))
    frame = Frame(s, (one.base[0], one.base[1] + one.lengths[0] + 0.42 * whole))
    anatomy = Anatomy(extent=(60 * s, (whole + 26) * s), energy=34)
    dips = [8 + 5 * float(bends[0]), 9 + 6 * float(bends[1]), 5 + 3 * float(bends[2])]
    base = one.base
    upright = heading(2.0 * float(bends[3]), 0)
    half = (0.98 * one.half, 0.55 * one.half, 0.86 * one.half)
    head = tube(
        anatomy, patient, frame, "metacarpal", base, upright, one.lengths[0], half, 2.0, "head", (2.1, 16.2), 9.0
    )
    names = ("proximal phalanx", "middle phalanx", "distal phalanx")
    tubes, points = phalanges(anatomy, patient, frame, ray, head.end, 0.0, dips, names, noise, gaps)
    finger_flesh(anatomy, frame, f, ray, points)
    below = [(base[0], base[1] + share * one.lengths[0], base[2]) for share in (0.0, 0.7, 1.24)]
    anatomy.flesh(frame.path(below), [36 * f, 34 * f, 22 * f], [14 * f, 11 * f, 6 * f], (0, 12 * f), skin=2.2 * f)
    finger_joints(anatomy, frame, "", ray, head, tubes, gaps)
    anatomy.may_break("proximal phalanx", tubes[0].shaft, 0.06, 0.85, physis=True)
    anatomy.may_break("middle phalanx", tubes[1].shaft, 0.06, 0.85, physis=True)
    return anatomy


HAND = BodyPart(
    "hand",
    build_hand,
    (View("PA"), View("oblique", turn=42)),
    joints=(
        "second metacarpophalangeal joint",
        "third metacarpophalangeal joint",
        "third proximal interphalangeal joint",
        "wrist joint",
    ),
    fractures=("fifth metacarpal", "third metacarpal", "second proximal phalanx"),
)
FINGER = BodyPart(
    "finger",
    build_finger,
    (View("PA"), View("lateral", turn=90)),
    joints=("proximal interphalangeal joint", "distal interphalangeal joint"),
    fractures=("proximal phalanx", "middle phalanx"),
)
WRIST = BodyPart(
    "wrist",
    build_wrist,
    (View("PA"), View("lateral", turn=90)),
    joints=("wrist joint",),
    fractures=("distal radius", "distal ulna"),
)
