"""The foot and the ankle. Measures are an adult man's in mm, rounded from textbooks, times the child's scale."""

from ..growth import flesh_scale, length_scale, mineral, ossification
from ..records import Patient
from .bones import growing_end, round_bone
from .knee import Faces, epiphysis
from .part import BodyPart, View
from .solids import Anatomy, Point, Shape, ball

ORDINALS = ("first", "second", "third", "fourth", "fifth")
# dorsoplantar, toes up: base and head of each metatarsal (x, y, z), half-widths of base, middle and head
METATARSALS = (
    ((-20, 40, 20), (-29, -24, 8), (10, 6.8, 10.5)),
    ((-5, 31, 29), (-11, -42, 9), (7.5, 4.2, 6.0)),
    ((7.5, 35, 26), (7, -34, 9), (7, 4.0, 5.6)),
    ((19, 41, 19), (23, -22, 9), (7, 4.0, 5.4)),
    ((30, 47, 12), (38, -10, 8), (8, 4.3, 5.4)),
)
# lengths of the phalanges, half-width of the first one's middle, and where the toe points: x for one y
TOES = (
    ((33, 24), 7.5, 0.10),
    ((29, 15, 10), 4.2, -0.02),
    ((26, 13, 9.5), 4.0, 0.04),
    ((23, 11, 9), 3.9, 0.10),
    ((20, 9, 8.5), 3.8, 0.16),
)
ROWS = (("proximal", "distal"), ("proximal", "middle", "distal"))
# centre, half-axes, tilt, and a boy's years from appearance to full size; before birth is below 0
TARSALS = (
    ("cuboid", (24, 65, 13), (13.5, 19, 12), 12, 0.1, 12),
    ("lateral cuneiform", (6.5, 50, 24), (8, 15.5, 11), 4, 0.5, 12),
    ("medial cuneiform", (-18, 54, 20), (10, 15, 13), -8, 2, 12),
    ("intermediate cuneiform", (-6, 47, 28), (7.5, 9.5, 10), 0, 2.5, 12),
    ("navicular", (-8, 75, 24), (19.5, 9.5, 12), 6, 3, 12),
)


def build_foot(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = flesh_scale(patient) * shape.vary(0.03)
    dense = mineral(patient)
    anatomy = Anatomy(extent=(120 * s, 232 * s), energy=42)
    broad, slender, shell = s * shape.vary(0.05), shape.vary(0.06), shape.vary(0.1)
    long_toes, valgus = shape.vary(0.06), shape.offset(0.06)
    longs = [shape.vary(0.03) for _ in ORDINALS]
    bends = [shape.offset(0.03) for _ in ORDINALS]
    gaps = [s * shape.vary(0.1) for _ in ORDINALS]
    sesamoids = shape.offset(1.0) * s

    anatomy.flesh(
        [(4 * s, 140 * s, 18 * s), (3 * s, 60 * s, 20 * s), (3 * broad, -52 * s, 9 * s)],
        [n * f for n in (26, 32, 33, 37, 43, 46, 40)],
        [n * f for n in (36, 40, 34, 25, 18, 13, 9)],
        (22 * f, 18 * f),
        skin=3 * f,
    )

    for ray, (base, head, (wide0, wide1, wide2)) in enumerate(METATARSALS):
        name = f"{ORDINALS[ray]} metatarsal"
        start = (base[0] * broad, base[1] * s, base[2] * s)
        along = (head[0] * broad - start[0], (head[1] - base[1]) * s * longs[ray], (head[2] - base[2]) * s)
        end = _at(start, along, 1.0)
        # the first metatarsal grows at its base, the others at their heads
        physis_start, physis_end = (0.13, 0.985) if ray == 0 else (0.015, 0.83)
        wide = [
            n * s * slender for n in (wide0, 0.7 * wide0 + 0.3 * wide1, wide1, wide1, 0.6 * wide1 + 0.4 * wide2, wide2)
        ]
        cortex = 0.5 * wide1 * s * shell
        number = anatomy.bone(
            name,
            [_at(start, along, physis_start), _at(start, along, 0.5), _at(start, along, physis_end)],
            wide,
            [0.95 * n for n in wide],
            [n * cortex for n in (0.35, 0.7, 1, 1, 0.6, 0.35)],
            (1.5 * s, 8 * s if ray == 0 else 2 * s),
            dense,
            end_cortex=0.9 * s,
        )
        face: Faces = [(number, 1)] if ray == 0 else []
        if ray == 0:
            grown_end(anatomy, patient, name, start, along, (0.0, 0.115), wide0 * 1.02 * s * slender, (2.5, 16))
        else:
            face = grown_end(anatomy, patient, name, start, along, (0.85, 1.0), wide2 * 1.02 * s * slender, (3.2, 16))
        if ray == 4:  # the tuberosity of its base
            tip = (start[0] + 7 * s, start[1] + 9 * s, start[2])
            anatomy.bone(
                name, [tip, _at(start, along, 0.1)], [4 * s, 6 * s], 5 * s, 1.2 * s, (3 * s, 3 * s), 0.8 * dense
            )
        if ORDINALS[ray] in ("first", "second", "fifth"):
            anatomy.may_break(name, number, 0.12 if ray in (0, 4) else 0.25, 0.8)

        lengths, half, lean = TOES[ray]
        # toes are bent, so the film shortens them; the hallux leans outwards
        lean = lean + bends[ray] + (valgus if ray == 0 else 0.4 * valgus)
        gap = 3.2 * gaps[ray] if ray == 0 else 2.6 * gaps[ray]
        at = (end[0] + lean * gap, end[1] - gap, end[2])
        first_face: Faces = []
        for row, length in enumerate(lengths):
            length = length * s * long_toes
            step = (lean * length, -length, (3 - 3 * row) * s)
            bone = f"{ORDINALS[ray]} toe {ROWS[len(lengths) - 2][row]} phalanx"
            last = row == len(lengths) - 1
            shaft = half * (1 - 0.1 * row) * s * slender
            knob = 1.25 if last else 1.3
            plate = ossification(patient, 1.2 + 0.5 * row, 15.5)
            number = anatomy.bone(
                bone,
                [_at(at, step, 0.2), _at(at, step, 1.0)],
                [shaft * n for n in (1.5, 1.08, 0.95, 1.0, knob)],
                [shaft * n for n in (1.3, 1.0, 0.9, 0.9, 1.0)],
                [0.5 * shaft * n * shell for n in (0.4, 0.9, 1, 0.8, 0.4)],
                (1 * s, (3.5 if last else 2.5) * s),
                dense,
                end_cortex=0.7 * s,
            )
            centre = grown_end(anatomy, patient, bone, at, step, (0.17, 0.0), 1.55 * shaft, (1.2 + 0.5 * row, 15.5))
            if row == 0:
                first_face = centre if plate > 0 else [(number, 0)]
            space = (2.2 if ray == 0 else 1.7) * s
            at = (at[0] + step[0] + lean * space, at[1] + step[1] - space, at[2] + step[2])
        top = (at[0] + lean * 2 * s, at[1] - 1 * s, at[2])
        toe = half * 1.2 + 2.6
        low = (end[0] - 4 * lean * s, end[1] + 12 * s, end[2])
        anatomy.flesh([low, top], [toe * f, toe * f, toe * 0.93 * f], toe * 0.85 * f, (4 * f, toe * f), skin=1.6 * f)
        if ORDINALS[ray] in ("first", "second", "fifth"):
            where = (end[0] + 0.5 * lean * gap, end[1] - gap / 2, end[2])
            faces = [*(face if face else []), *first_face]
            anatomy.joint(f"{ORDINALS[ray]} metatarsophalangeal joint", where, 1.1 * wide2 * s, wide2 * s, gap, faces)

    for name, (x, y, z), half3, tilt, appears, full in TARSALS:
        half3 = tuple(n * s for n in half3)
        round_bone(anatomy, patient, name, (x * broad, y * s, z * s), half3, appears, full, tilt, cortex=1.0 * s)
    big = 0.62 + 0.38 * ossification(patient, -1, 11)
    _hindfoot_from_above(anatomy, s, broad, big, dense)
    if ossification(patient, 10, 14) > 0:  # sesamoid bones below the first head
        small = 0.5 + 0.5 * ossification(patient, 10, 14)
        for x in (-33, -21):
            bead = ball((x * broad, -19 * s + sesamoids, -3 * s), (4 * s * small, 5.5 * s * small, 4 * s * small))
            anatomy.bone("first metatarsal", **bead, cortex=1 * s, mineral=dense)
    return anatomy


def _hindfoot_from_above(anatomy: Anatomy, s: float, broad: float, big: float, dense: float):
    """Talus and calcaneus, which have bone at birth."""
    neck = [(-10 * broad, (94 - 10 * big) * s, 27 * s), (-4 * broad, 112 * s, 34 * s)]
    anatomy.bone(
        "talus", neck, [n * s * big for n in (14, 12, 16)], 13 * s * big, 1.1 * s, (8 * s * big, 3 * s), dense
    )
    dome = ball((-1 * broad, 124 * s, 38 * s), (19 * s * big, 18 * s * big, 14 * s * big))
    anatomy.bone("talus", **dome, cortex=1.1 * s, mineral=0.7 * dense)
    heel = [(18 * broad, (108 - 22 * big) * s, 14 * s), (8 * broad, (108 + 37 * big) * s, 10 * s)]
    half = [n * s * big for n in (11, 15, 14, 16, 15)]
    anatomy.bone("calcaneus", heel, half, [1.1 * n for n in half], 1.1 * s, (4 * s, 10 * s * big), 0.8 * dense)


def _at(start: Point, along, share: float) -> Point:
    return (start[0] + along[0] * share, start[1] + along[1] * share, start[2] + along[2] * share)


def grown_end(anatomy, patient, name, start, along, span, half: float, years) -> Faces:
    """A short bone's epiphysis between two shares of its length, from the growth plate's to the joint's."""
    done = ossification(patient, *years)
    if done == 0.0:
        return []
    grown = 0.35 + 0.65 * min(done / 0.5, 1.0)
    plate, joint = span
    if done < 1.0:
        plate += 0.06 * (plate - joint)
    length = sum(n * n for n in along) ** 0.5
    room = abs(joint - plate) * length
    rim = 0.5 * (1 - grown)
    first, last = plate + (joint - plate) * rim * 0.6, joint - (joint - plate) * rim * 0.6
    tall = abs(last - first) * length
    number = anatomy.bone(
        name,
        [_at(start, along, first), _at(start, along, (first + last) / 2), _at(start, along, last)],
        [half * grown * n for n in (0.97, 1.0, 0.95)],
        0.9 * half * grown,
        min(0.09 * room + 0.3, 0.25 * tall),
        ((0.5 - 0.3 * grown) * tall, (0.5 - (0.05 if room > half else 0.2) * grown) * tall),
        mineral(patient),
    )
    return [(number, 1)]


# ---- the ankle, from the leg downwards: z is forwards


def distal_tibia(anatomy: Anatomy, patient: Patient, joint: Point, s: float, wide: float) -> Faces:
    """The epiphysis above the ankle joint, and the medial malleolus that grows down from it."""
    x, y, z = joint
    faces = epiphysis(
        anatomy, patient, "tibia", (x, y - 16 * s, z), 1, (24 * wide, 19.5 * s), 16 * s, (0.5, 16), plate=1.8 * s
    )
    down = ossification(patient, 3, 11)
    if down > 0.0:
        path = [
            (x + 18 * wide, y - 9 * s, z + s),
            (x + 22 * wide, y - 2 * s, z + s),
            (x + 23.5 * wide, y + 14 * s * down, z),
        ]
        anatomy.bone(
            "tibia", path, [n * s for n in (6, 7, 5.5)], [n * s for n in (15, 14, 9)], 1.3 * s, (4 * s, 6 * s * down),
            0.9 * mineral(patient), end_cortex=0.6 * s,
        )  # fmt: skip
    return faces


def distal_fibula(anatomy: Anatomy, patient: Patient, physis: Point, s: float):
    """The lateral malleolus; its growth plate lies level with the ankle joint."""
    growing_end(anatomy, patient, "fibula", physis, (0, 1, 0), (8.5 * s, 10.5 * s), 23 * s, 1, 16.5, plate=1.8 * s)


def hindfoot(anatomy: Anatomy, patient: Patient, top: Point, s: float, far: bool = True) -> int:
    """The tarsus below the talar dome at `top`; with `far` also what lies before it. Returns the talus's number."""
    x, y, z = top
    dense = mineral(patient)
    big = 0.6 + 0.4 * ossification(patient, -1, 11)
    c, m = 1.1 * s, s * big
    sunk = (1 - big) * 14 * s  # cartilage over the dome
    dome = anatomy.bone(
        "talus",
        [(x, y + sunk, z), (x, y + sunk + 12 * m, z - 1 * m), (x + 0.5 * s, y + sunk + 24 * m, z - 2 * m)],
        [n * m for n in (18.5, 20, 21)],
        [n * m for n in (17, 23.5, 19)],
        c,
        (5 * m, 5 * m),
        dense,
    )
    low = y + sunk
    anatomy.bone(
        "talus",
        [(x + 2 * s, low + 11 * m, z + 13 * m), (x + 2 * s, low + 16 * m, z + 42 * m)],
        [n * m for n in (15, 13, 16)],
        [n * m for n in (10, 10, 13)],
        c,
        (4 * m, 9 * m),
        dense,
    )
    # the calcaneus rises forwards
    anatomy.bone(
        "calcaneus",
        [
            (x - 4 * s, low + 46 * m, z - 50 * m),
            (x - 4 * s, low + 41 * m, z - 8 * m),
            (x - 4 * s, low + 35 * m, z + 30 * m),
        ],
        [n * m for n in (14, 14, 13, 15, 13)],
        [n * m for n in (20, 17, 15, 15, 11)],
        c,
        (11 * m, 6 * m),
        dense,
    )
    behind = ossification(patient, 7, 15)
    if behind > 0.0:
        grown = 0.4 + 0.6 * min(behind / 0.5, 1)
        edge = z - 50 * m - (5.5 if behind < 1 else 2) * s
        path = [(x - 4 * s, low + (48 - 15 * grown) * m, edge), (x - 4 * s, low + 48 * m, edge - 2 * s),
                (x - 4 * s, low + (48 + 15 * grown) * m, edge + 2 * s)]  # fmt: skip
        anatomy.bone("calcaneus", path, 12 * m, 4 * s * grown, c, (6 * s * grown, 6 * s * grown), dense)
    if far:
        others = (
            ("navicular", (5, 20, 51), (16, 14, 7), 3),
            ("cuboid", (-14, 37, 46), (12, 13, 16), 0.1),
            ("medial cuneiform", (9, 29, 68), (9, 14, 11), 2),
            ("lateral cuneiform", (-5, 28, 66), (9, 12, 11), 0.5),
        )
        for name, (dx, dy, dz), half, appears in others:
            middle = (x + dx * s, y + dy * s + 2 * s, z + dz * s)
            round_bone(anatomy, patient, name, middle, tuple(n * s for n in half), appears, 12, cortex=s)
        for name, dx, dy, half in (("first", 9, 33, 8.5), ("third", -4, 32, 6), ("fifth", -20, 45, 6)):
            path = [(x + dx * s, y + dy * s, z + 80 * s), (x + dx * s, y + (dy + 7) * s, z + 118 * s)]
            if name == "fifth":
                path[0] = (x + dx * s, y + (dy - 2) * s, z + 62 * s)
            wide = [n * half * s for n in (1.1, 0.85, 0.75, 0.75)]
            anatomy.bone(f"{name} metatarsal", path, wide, wide, 1.4 * s, (3 * s, 4 * s), 0.7 * dense)
    return dome


def foot_flesh(anatomy: Anatomy, top: Point, s: float, f: float):
    """Heel, sole and instep below an ankle."""
    x, y, z = top
    # three ellipsoids, for the longest chord of several counts and a foot seen from its end is not that thick
    for at, low, wide, tall, long in ((-16, 41, 31, 31, 46), (30, 42, 34, 31, 56), (88, 50, 38, 23, 60)):
        middle = (x - 2 * s, y + low * s, z + at * s)
        anatomy.flesh(**ball(middle, (wide * f, tall * f, long * f)), skin=4 * f)


def build_ankle(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = flesh_scale(patient) * shape.vary(0.03)
    anatomy = Anatomy(extent=(150 * s, 165 * s), energy=46)
    level = 17 * s + shape.offset(4.0) * s
    wide, slender, shell = s * shape.vary(0.04), shape.vary(0.06), shape.vary(0.1)
    gap, lean, apart = 4.0 * s * shape.vary(0.1), shape.offset(3.0) * s, shape.offset(1.0) * s
    heel = shape.offset(4.0) * s
    anatomy.flesh(
        [
            (-2 * s + lean, level - 160 * s, -10 * f),
            (-1 * s, level - 60 * s, -8 * f),
            (-1 * s, level + 35 * s, -4 * f),
        ],
        [n * f for n in (44, 37, 33, 36, 32)],
        [n * f for n in (48, 41, 37, 38, 40)],
        (0, 20 * f),
        skin=4.5 * f,
    )
    foot_flesh(anatomy, (0, level, heel), s, f)
    # fat before Achilles' tendon: an effusion pushes it backwards
    anatomy.organ("fat", **ball((0, level - 22 * s, -31 * f), (13 * s, 36 * s, 9 * s)))
    anatomy.organ("fat", **ball((0, level - 12 * s, 27 * f), (14 * s, 14 * s, 4 * s)))

    dense = mineral(patient)
    tibia = anatomy.bone(
        "tibia",
        [(1 * s + lean, level - 160 * s, -1 * s), (2 * s + 0.4 * lean, level - 80 * s, 0), (2 * s, level - 16 * s, 0)],
        [n * wide * slender for n in (12.5, 12.5, 12.8, 13.5, 15.5)] + [18 * wide, 23 * wide],
        [n * s * slender for n in (13, 13, 13, 13.5, 14.5, 16.5, 19)],
        [n * s * shell for n in (4.5, 4.3, 3.8, 3.0, 2.2, 1.3, 0.9)],
        (0, 2 * s),
        dense,
        end_cortex=1.0 * s,
    )
    faces = distal_tibia(anatomy, patient, (2 * s, level, 0), s, wide)
    plate = (-26 * wide - apart, level + 1 * s, -6 * s)
    fibula = anatomy.bone(
        "fibula",
        [(-23 * s + lean - apart, level - 160 * s, -8 * s), (-24 * s - apart, level - 70 * s, -8 * s), plate],
        [n * s * slender for n in (6, 6, 6, 6.3, 8.3)],
        [n * s * slender for n in (7, 7, 7, 7.5, 9.5)],
        [n * s * shell for n in (2.5, 2.4, 2.2, 1.6, 0.7)],
        (0, 1.5 * s),
        dense,
        end_cortex=0.8 * s,
    )
    distal_fibula(anatomy, patient, plate, s)
    talus = hindfoot(anatomy, patient, (1 * s, level + gap, heel + 1 * s), s)
    anatomy.joint("ankle joint", (1 * s, level + gap / 2, 0), 24 * wide, 22 * s, gap, [*faces, (talus, 0)])
    anatomy.may_break("distal tibia", tibia, 0.6, 0.94, physis=True)
    anatomy.may_break("distal fibula", fibula, 0.6, 0.94, physis=True)
    return anatomy


FOOT = BodyPart(
    "foot",
    build_foot,
    (View("AP"), View("oblique", turn=-40)),  # the outer border is raised
    joints=tuple(f"{one} metatarsophalangeal joint" for one in ("first", "second", "fifth")),
    fractures=("fifth metatarsal", "second metatarsal", "first metatarsal"),
)
ANKLE = BodyPart(
    "ankle",
    build_ankle,
    (View("AP"), View("lateral", turn=90), View("mortise", turn=20)),
    joints=("ankle joint",),
    fractures=("distal tibia", "distal fibula"),
)
