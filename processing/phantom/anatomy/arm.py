"""Forearm, elbow and humerus. Measures are an adult man's in mm, rounded from anatomy textbooks.

Written as for a right arm that hangs down with the palm to the viewer: the radius to the left, the front towards the
viewer. The elbow's origin is the middle of the joint line.
"""

from dataclasses import dataclass

from ..growth import flesh_scale, length_scale, mineral, ossification
from ..records import Patient
from .bones import closing_end, round_bone
from .hand_bones import RADIUS_TOP, RAYS, Frame, carpals, forearm_epiphyses, heading, tube
from .part import BodyPart, View
from .shoulder import Place, girdle, humeral_head
from .solids import Anatomy, Point, Shape, ball, draws


@dataclass(frozen=True)
class Bend:
    """How the elbow lies: its place on the film, and by how much the bones run to the side and to the front."""

    s: float
    centre: Point = (0.0, 0.0, 0.0)
    upper: float = 0.0  # of the humerus to the back, mm for each mm up
    lower: float = 0.0  # of the forearm to the front, mm for each mm down
    valgus: float = 0.0  # of the forearm to the thumb's side, mm for each mm down

    def at(self, x: float, y: float, z: float) -> Point:
        """A point about the joint in the adult's mm, moved along with the bone that it belongs to."""
        front = self.lower * y if y > 0 else self.upper * y
        side = -self.valgus * y if y > 0 else 0.0
        a, b, c = self.centre
        return (a + (x + side) * self.s, b + y * self.s, c + (z + front) * self.s)


@dataclass
class Elbow:
    """Numbers of the solids that form the joint, None where there is no bone yet."""

    capitellum: int | None
    trochlea: int | None
    radial_head: int | None
    humerus: int


def humerus_shaft(anatomy: Anatomy, patient: Patient, bend: Bend, length: float, noise, neck: float = 0.0) -> int:
    """The lower `length` mm of the humerus: a shaft that flattens to a paddle, with the fossa for the olecranon.

    `neck` is the half-width of its upper metaphysis, where the film shows that.
    """
    s, wide = bend.s, bend.s * (1 + 0.04 * float(noise[0]))
    points = [
        bend.at(1.5, -length, 0),
        bend.at(1, -0.66 * length, -1),
        bend.at(0.5, -0.33 * length, -1),
        bend.at(1, -1, 2),
    ]
    flare = min(34 / length, 0.5)  # the paddle's share of the length
    top = 48 / length
    steps = [row / 24 for row in range(25)]
    grow = [max(0.0, 1 - (1 - at) / flare) for at in steps]
    upper = [max(0.0, 1 - at / top) ** 1.3 * (neck - 10.5 if neck else 0.0) for at in steps]
    width = [(10.5 + 17.5 * g**1.35 + up) * wide for g, up in zip(grow, upper, strict=True)]
    depth = [(10.0 - 3.6 * g**0.7 + 0.9 * up) * s for g, up in zip(grow, upper, strict=True)]
    shell = [(3.6 - 2.8 * max(min(1.4 * g, 1.0), min(0.16 * up, 1.0))) * s for g, up in zip(grow, upper, strict=True)]
    number = anatomy.bone(
        "humerus", points, width, depth, shell, (3 * s if neck else 0, 4 * s), mineral(patient), end_cortex=1.0 * s
    )
    fossa = bend.at(1.5, -15, -2)
    anatomy.organ("soft", **ball(fossa, (8.5 * s, 7 * s, 5 * s)), within="bone", share=0.26 * mineral(patient))
    return number


def elbow(anatomy: Anatomy, patient: Patient, bend: Bend, humerus: int, noise) -> Elbow:
    """The growth centres of the elbow, in the order in which they appear: CRITOE."""
    s = bend.s
    size = [1 + 0.05 * float(value) for value in noise[1:6]]
    lateral = size[0] * s
    capitellum = round_bone(
        anatomy,
        patient,
        "humerus",
        bend.at(-13, 6.5, 7),
        (11 * lateral, 9 * lateral, 10 * lateral),
        0.9,
        13,
        cortex=0.8 * s,
    )
    trochlea = round_bone(
        anatomy,
        patient,
        "humerus",
        bend.at(9.5, 5.5, 5),
        (12 * size[1] * s, 7.5 * size[1] * s, 9 * s),
        8.5,
        14,
        cortex=0.8 * s,
    )
    round_bone(
        anatomy,
        patient,
        "humerus",
        bend.at(28 - 4 * ossification(patient, 5, 17), -9, -1),
        (5 * s, 9 * size[2] * s, 5.5 * s),
        5,
        14,
        tilt=-18,
        cortex=0.8 * s,
    )
    round_bone(
        anatomy,
        patient,
        "humerus",
        bend.at(-23.5, -3, 3),
        (3.5 * s, 7 * size[3] * s, 5 * s),
        11,
        14.5,
        tilt=12,
        cortex=0.8 * s,
    )
    # fused: the cartilage that was between is bone
    done = ossification(patient, 13, 15.5)
    if done:
        anatomy.bone(
            "humerus",
            [bend.at(-18, 1.5, 4), bend.at(20, 0, 3)],
            4.5 * s,
            5.5 * s,
            0.7 * s,
            (5 * s, 5 * s),
            done * mineral(patient),
        )
    anatomy.organ("fat", **ball(bend.at(0, -16, 11.5), (11 * s, 11 * s, 2.2 * s)))
    anatomy.organ("fat", **ball(bend.at(1, -17, -10.5), (8 * s, 9 * s, 1.3 * s)))
    return Elbow(capitellum, trochlea, None, humerus)


def forearm_heads(
    anatomy: Anatomy, patient: Patient, bend: Bend, joint: Elbow, gap: float, noise
) -> tuple[Point, Point]:
    """Radial head, olecranon and coronoid; where the shafts of radius and ulna begin."""
    s, wide = bend.s, 1 + 0.04 * float(noise[6])
    neck, olecranon = bend.at(-13.5, 15.5 + gap + 8.5, 6), bend.at(3, -9, -13.5)
    joint.radial_head, _ = closing_end(
        anatomy,
        patient,
        "radius",
        neck,
        (0.0, -1.0, 0.0),
        (10.6 * wide * s, 10.3 * s),
        6.5 * s,
        4.5,
        16,
        plate=2 * s,
        cortex=0.9 * s,
        dome=0.25,
    )
    anatomy.bone(
        "ulna",
        [bend.at(7, 27, -5), bend.at(7, 18, 6)],
        [8 * s, 5 * s],
        [5 * s, 3 * s],
        0.8 * s,
        (2 * s, 4 * s),
        mineral(patient),
    )
    closing_end(
        anatomy,
        patient,
        "ulna",
        olecranon,
        (-0.05, -0.97, 0.24),
        (8.5 * s, 7.5 * s),
        5 * s,
        9,
        15.5,
        plate=1.8 * s,
        cortex=0.9 * s,
        dome=0.6,
    )
    return neck, olecranon


def forearm_shafts(
    anatomy: Anatomy, patient: Patient, bend: Bend, starts, ends=None, noise=(), sides=()
) -> tuple[int, int]:
    """Radius and ulna from the elbow on: down to their lower growth plates at `ends`, or 135 mm of them."""
    s = bend.s
    neck, olecranon = starts
    if ends is None:
        radius_path = [neck, bend.at(-11.5, 60, 4), bend.at(-13, 98, 3), bend.at(-13, 135, 3)]
        ulna_path = [
            olecranon,
            bend.at(5, 14, -10.5),
            bend.at(8, 42, -6),
            bend.at(9, 72, -4),
            bend.at(10, 104, -4),
            bend.at(11, 135, -4),
        ]
        wide = [9.3, 7.3, 6.7, 7.2, 8.4, 8.0, 7.6, 7.4]
        deep = [9.0, 7.0, 6.5, 7.0, 7.4, 7.0, 6.6, 6.5]
        shell = [0.7, 1.4, 2.0, 2.4, 2.5, 2.5, 2.5, 2.5]
        ulna_wide = [8.5, 9.6, 11.2, 12.0, 10.6, 9.4, 8.6, 8.0, 7.6, 7.2, 7.0]
        ulna_deep = [7.0, 6.3, 7.0, 9.0, 9.4, 9.0, 8.4, 8.0, 7.6, 7.4, 7.2]
        ulna_shell = [0.9, 1.0, 1.3, 1.7, 2.1, 2.4, 2.5, 2.5, 2.5, 2.5, 2.5]
        caps = (0.0, 0.0)
    else:
        bow, tip = 8 * (1 + 0.2 * float(sides[0])), 2 + float(sides[1])
        radius_path = bowed(neck, ends[0], (-bow * s, tip * s))
        ulna_path = bowed(
            (olecranon[0], olecranon[1], olecranon[2] + 5 * s), ends[1], (1.5 * s * float(sides[2]), -3 * s)
        )
        wide = [9.3, 7.2, 7.6, 7.8, 7.4, 7.2, 7.2, 7.6, 9.0, 14.2 * (1 + 0.04 * float(noise[0]))]
        deep = [9.0, 7.0, 7.0, 7.0, 6.6, 6.4, 6.4, 6.6, 7.6, 10.2]
        shell = [0.7, 1.8, 2.5, 2.8, 2.9, 2.9, 2.7, 2.2, 1.4, 0.6]
        ulna_wide = [8.8, 11.0, 9.8, 8.4, 7.6, 7.0, 6.6, 6.0, 5.6, 5.6, 7.2]
        ulna_deep = [8.0, 9.5, 9.0, 8.2, 7.6, 7.0, 6.6, 6.0, 5.6, 5.6, 7.2]
        ulna_shell = [0.9, 1.5, 2.1, 2.5, 2.7, 2.7, 2.6, 2.4, 2.0, 1.4, 0.6]
        caps = (1.6 * s, 1.4 * s)
    radius = anatomy.bone(
        "radius",
        radius_path,
        [s * v for v in wide],
        [s * v for v in deep],
        [s * v for v in shell],
        (1.5 * s, caps[0]),
        mineral(patient),
        end_cortex=0.9 * s,
    )
    ulna = anatomy.bone(
        "ulna",
        ulna_path,
        [s * v for v in ulna_wide],
        [s * v for v in ulna_deep],
        [s * v for v in ulna_shell],
        (3 * s, caps[1]),
        mineral(patient),
        end_cortex=0.9 * s,
    )
    return radius, ulna


def bowed(start: Point, end: Point, bow: tuple[float, float]) -> list[Point]:
    """Five points of a path whose middle lies `bow` mm off the straight line in x and z."""
    points = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y, z = (a + (b - a) * share for a, b in zip(start, end, strict=True))
        arc = 4 * share * (1 - share)
        points.append((x + bow[0] * arc, y, z + bow[1] * arc))
    return points


def elbow_joint(anatomy: Anatomy, bend: Bend, joint: Elbow, gap: float):
    """Between capitellum, trochlea and radial head; a ball's far end in the picture is the lower one."""
    faces = [(number, 1) for number in (joint.capitellum, joint.trochlea, joint.radial_head) if number is not None]
    s = bend.s
    anatomy.joint("elbow joint", bend.at(-2, 15, 2), 24 * s, 15 * s, gap * s, faces)


def build_elbow(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.04)
    f = s * (flesh_scale(patient) / length_scale(patient)) ** 0.8
    noise = draws(shape, 8)
    bend = Bend(
        s, (0, -2 * s, -8 * s), 0.28 + shape.offset(0.08), 0.45 + shape.offset(0.12), 0.16 + shape.offset(0.05)
    )
    gap = 3.0 * shape.vary(0.1)
    anatomy = Anatomy(extent=(118 * s, 146 * s), energy=39)
    anatomy.flesh(
        [
            bend.at(2, -130, 2),
            bend.at(1, -60, 2),
            bend.at(0, -8, 2),
            bend.at(1, 24, 2),
            bend.at(-1, 60, 3),
            bend.at(-1, 130, 3),
        ],
        [46 * f, 43 * f, 40 * f, 42 * f, 41 * f, 33 * f],
        [44 * f, 38 * f, 28 * f, 31 * f, 33 * f, 28 * f],
        skin=4 * f,
    )
    humerus = humerus_shaft(anatomy, patient, bend, 130, noise)
    joint = elbow(anatomy, patient, bend, humerus, noise)
    starts = forearm_heads(anatomy, patient, bend, joint, gap, noise)
    _, ulna = forearm_shafts(anatomy, patient, bend, starts)
    elbow_joint(anatomy, bend, joint, gap)
    anatomy.may_break("distal humerus", humerus, 0.68, 0.95, physis=True)
    anatomy.may_break("proximal ulna", ulna, 0.12, 0.5)
    return anatomy


def build_forearm(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = s * (flesh_scale(patient) / length_scale(patient)) ** 0.8
    noise, wrist, rays = draws(shape, 8), draws(shape, 8, 4), draws(shape, 5)
    sides = draws(shape, 6)
    bend = Bend(s, (2 * s, -120 * s, 0), 0.1 + shape.offset(0.1), 0.0, 0.0)
    gap = 3.0 * shape.vary(0.1)
    frame = Frame(s, (0.0, -122.0), turned=True)
    anatomy = Anatomy(extent=(120 * s, 318 * s), energy=38)
    anatomy.flesh(
        [
            bend.at(0, -60, 0),
            bend.at(0, 0, 0),
            bend.at(0, 60, 0),
            (0, 40 * s, 0),
            frame.at((2, -20, 0)),
            frame.at((1, 8, 0)),
            frame.at((0, 60, 0)),
        ],
        [40 * f, 38 * f, 40 * f, 34 * f, 28 * f, 30 * f, 40 * f],
        [35 * f, 29 * f, 33 * f, 27 * f, 18 * f, 18 * f, 14 * f],
        skin=3.5 * f,
    )
    humerus = humerus_shaft(anatomy, patient, bend, 80, noise)
    joint = elbow(anatomy, patient, bend, humerus, noise)
    starts = forearm_heads(anatomy, patient, bend, joint, gap, noise)
    _, ulna_top = forearm_epiphyses(anatomy, patient, frame, sides[3:])
    ends = (frame.at(RADIUS_TOP), frame.at(ulna_top))
    radius, ulna = forearm_shafts(anatomy, patient, bend, starts, ends, sides[3:], sides)
    carpals(anatomy, patient, frame, wrist)
    for ray, one in enumerate(RAYS):
        direction = heading(one.lean + float(rays[ray]), one.dip)
        half = (0.98 * one.half, 0.55 * one.half, 0.86 * one.half)
        tube(anatomy, patient, frame, "metacarpal", one.base, direction, one.lengths[0], half, 2.0, None)
    anatomy.may_break("radial shaft", radius, 0.2, 0.85)
    anatomy.may_break("ulnar shaft", ulna, 0.2, 0.9)
    return anatomy


def build_humerus(shape: Shape) -> Anatomy:
    """The whole bone, the arm held away from the trunk."""
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = s * (flesh_scale(patient) / length_scale(patient)) ** 0.8
    noise, blade = draws(shape, 8), draws(shape, 6)
    lift = 72 + shape.offset(5)
    bend = Bend(
        s, (-10 * s, 142 * s, 0), 0.06 + shape.offset(0.05), 0.3 + shape.offset(0.1), 0.14 + shape.offset(0.05)
    )
    gap = 3.0 * shape.vary(0.1)
    anatomy = Anatomy(extent=(160 * s, 392 * s), energy=42)
    top = bend.at(1.5, -282, 0)
    place = Place(s, (top[0] + 5 * s, top[1] - 12 * s, top[2]), lift)
    # up to the shoulder, and on to the trunk, which lies beyond the film's upper corner
    reach = s * shape.vary(0.08)
    anatomy.flesh(
        [
            bend.at(-1, 120, 2),
            bend.at(0, 60, 2),
            bend.at(0, 0, 2),
            bend.at(0, -80, 2),
            bend.at(1, -170, 2),
            bend.at(5, -250, 0),
            (top[0] + 20 * reach, top[1] - 36 * s, top[2] - 4 * s),
            (top[0] + 58 * reach, top[1] - 82 * s, top[2] - 9 * s),
            (top[0] + 108 * reach, top[1] - 132 * s, top[2] - 15 * s),
        ],
        [36 * f, 40 * f, 39 * f, 41 * f, 44 * f, 48 * f, 64 * f, 84 * f, 104 * f],
        [30 * f, 34 * f, 30 * f, 40 * f, 43 * f, 46 * f, 48 * f, 54 * f, 60 * f],
        skin=5 * f,
    )
    humerus = humerus_shaft(anatomy, patient, bend, 282, noise, neck=18.5)
    joint = elbow(anatomy, patient, bend, humerus, noise)
    starts = forearm_heads(anatomy, patient, bend, joint, gap, noise)
    forearm_shafts(anatomy, patient, bend, starts)
    humeral_head(anatomy, patient, place, top, noise)
    girdle(anatomy, patient, place, blade)
    anatomy.may_break("humeral shaft", humerus, 0.18, 0.85)
    return anatomy


ELBOW = BodyPart(
    "elbow",
    build_elbow,
    (View("AP"), View("lateral", turn=90)),
    joints=("elbow joint",),
    fractures=("distal humerus", "proximal ulna"),
)
FOREARM = BodyPart(
    "forearm", build_forearm, (View("AP"), View("lateral", turn=90)), fractures=("radial shaft", "ulnar shaft")
)
HUMERUS = BodyPart("humerus", build_humerus, (View("AP"), View("lateral", turn=90)), fractures=("humeral shaft",))
