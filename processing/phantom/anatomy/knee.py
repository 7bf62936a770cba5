"""The knee. Measures are an adult man's in mm, rounded from anatomy textbooks, and scaled by the child's length."""

from ..growth import flesh_scale, length_scale, mineral, ossification
from ..records import Patient
from .bones import growing_end, long_bone, round_bone
from .part import BodyPart, View
from .solids import Anatomy, Point, Shape, ball

# mm from the growth plate to the joint
FEMORAL_HEIGHT = 27.0
TIBIAL_HEIGHT = 15.0

Faces = list[tuple[int, int]]


def epiphysis(
    anatomy: Anatomy,
    patient: Patient,
    name: str,
    physis: Point,
    towards: float,
    half: tuple[float, float],
    height: float,
    years: tuple[float, float],
    plate: float,
    taper: float = 0.96,
) -> Faces:
    """A block between growth plate and joint, flat towards the plate; `towards` is 1 where the joint is below.

    It begins as a bead and is as wide as the shaft at half its time; `years` are those of appearance and fusion.
    """
    x, y, z = physis
    done = ossification(patient, *years)
    if done == 0.0:
        return []
    grown = min(1.0, 0.25 + 0.75 * (done / 0.5) ** 0.65)
    gap = 0.0 if done == 1.0 else plate * (1 - 0.5 * done)
    room = height - gap
    tall = room * (0.25 + 0.75 * grown)
    low = gap + 0.4 * (room - tall)
    number = anatomy.bone(
        name,
        [(x, y + towards * at, z) for at in (low, low + tall / 2, low + tall)],
        [0.97 * half[0] * grown, half[0] * grown, taper * half[0] * grown],
        [0.97 * half[1] * grown, half[1] * grown, taper * half[1] * grown],
        min(0.055 * height + 0.3, 0.25 * tall),
        ((0.56 - 0.44 * grown) * tall, (0.55 - 0.3 * grown) * tall),
        mineral(patient),
    )
    return [(number, 1)]


def femoral_condyles(anatomy: Anatomy, patient: Patient, physis: Point, s: float, wide: float) -> tuple[Faces, float]:
    """The distal femoral epiphysis: two condyles, the notch between them, and the body above it.

    Returns the faces towards the joint and the joint's y. The centre is there at birth, as a bead.
    """
    x, y, z = physis
    joint = y + FEMORAL_HEIGHT * s
    done = ossification(patient, -0.2, 17)
    if done == 0.0:
        return [], joint
    grown = min(1.0, 0.25 + 0.75 * (done / 0.5) ** 0.65)
    gap = 0.0 if done == 1.0 else 2.0 * s * (1 - 0.5 * done)
    room = FEMORAL_HEIGHT * s - gap
    tall = room * (0.25 + 0.75 * grown)
    low = y + gap + 0.4 * (room - tall)
    dense, cortex = mineral(patient), min(0.9 * s + 0.2, 0.2 * tall)
    back = z - 5 * s * grown
    lobes = 0.36 * tall * min(max((grown - 0.45) / 0.35, 0.0), 1.0)  # how far down the notch parts the condyles
    middle = low + tall - lobes
    body = anatomy.bone(
        "femur",
        [(x, low, back + 2 * s), (x, (low + middle) / 2, back), (x, middle, back)],
        [37 * wide * grown, 40.5 * wide * grown, 39.5 * wide * grown],
        [27 * s * grown, 31 * s * grown, 32 * s * grown],
        cortex,
        ((0.55 - 0.42 * grown) * (middle - low), (0.66 - 0.6 * grown) * (middle - low)),
        dense,
        end_cortex=0.8 * cortex if lobes == 0.0 else 0.3 * cortex,
    )
    if lobes == 0.0:
        return [(body, 1)], joint
    faces = []
    for side, deeper in ((1, 1.0), (-1, 0.0)):  # the medial condyle reaches a little further down
        at = x + side * 21 * wide * grown
        end = low + tall + (deeper - 0.5) * 0.2 * lobes
        number = anatomy.bone(
            "femur",
            [(at, middle, back), (at, end, back - 1 * s)],
            [18.5 * wide * grown, 18 * wide * grown, 16 * wide * grown],
            [31.5 * s * grown, 30 * s * grown, 27 * s * grown],
            cortex,
            (0.0, 0.95 * (end - middle)),
            dense,
            end_cortex=0.35 * cortex,
        )
        faces.append((number, 1))
    return faces, joint


def tibial_plateau(anatomy: Anatomy, patient: Patient, physis: Point, s: float, wide: float) -> Faces:
    """The proximal tibial epiphysis with its eminence, and the tubercle's apophysis in front."""
    x, y, z = physis
    half = (38.5 * wide, 25 * s)
    faces = epiphysis(anatomy, patient, "tibia", physis, -1, half, TIBIAL_HEIGHT * s, (-0.1, 16.5), plate=2 * s)
    done = ossification(patient, 3, 11)
    if done > 0.0:  # two tubercles, the medial one higher
        top = y - (TIBIAL_HEIGHT - 1.5) * s
        for at, high in ((6.5, 9.5), (-6, 7.5)):
            anatomy.bone(
                "tibia",
                [(x + at * s, top, z - 2 * s), (x + at * 0.8 * s, top - high * s * done, z - 2 * s)],
                [7 * s, 4 * s, 2 * s],
                [9 * s, 7 * s, 4 * s],
                0.9 * s,
                (0, 2 * s * done),
                mineral(patient),
            )
    tongue = ossification(patient, 10, 16)
    if tongue > 0.0:
        anatomy.bone(
            "tibia",
            [
                (x, y - 8 * s, z + 21 * s),
                (x - s, y + 4 * s, z + 23 * s),
                (x - s, y + (8 + 16 * tongue) * s, z + 21 * s),
            ],
            [12 * s, 10 * s, 6 * s],
            [4 * s, 4.5 * s, 3.5 * s],
            0.8 * s,
            (3 * s, 5 * s),
            mineral(patient),
        )
    return faces


def fibular_head(anatomy: Anatomy, patient: Patient, physis: Point, s: float):
    """The proximal fibular epiphysis, pointed at its tip."""
    growing_end(anatomy, patient, "fibula", physis, (0, -1, 0), (9.5 * s, 9 * s), 10 * s, 3.5, 17, plate=1.8 * s)


def patella(anatomy: Anatomy, patient: Patient, joint: Point, s: float, high: float):
    """In front of the femur; a sesamoid bone, so a young child shows none."""
    centre = (joint[0] + s, joint[1] - 24 * s * high, joint[2] + 41 * s)
    round_bone(anatomy, patient, "patella", centre, (22 * s, 22 * s, 10 * s), 3.5, 12, cortex=1.6 * s)


def build_knee(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = flesh_scale(patient) * shape.vary(0.03)
    anatomy = Anatomy(extent=(150 * s, 190 * s), energy=48)
    wide, tilt = s * shape.vary(0.04), shape.offset(4.0) * s  # the knee's varus or valgus
    slender, shell = shape.vary(0.06), shape.vary(0.1)
    gap = 4.5 * s * shape.vary(0.1)
    high, fibula_at = shape.vary(0.1), shape.offset(2.0) * s
    lean = shape.offset(5.0) * s  # a knee that is not quite straight
    anatomy.flesh(
        [(-5 * s - tilt, -140 * s, 3 * f), (0, 0, 3 * f), (-6 * s + tilt, 140 * s, -8 * f)],
        [72 * f, 64 * f, 57 * f, 51 * f, 54 * f],
        [71 * f, 62 * f, 58 * f, 51 * f, 54 * f],
        skin=5 * f,
    )
    # Hoffa's fat pad below the patella, and the fat behind the joint
    anatomy.organ("fat", **ball((0, 6 * s, 33 * s), (24 * s, 17 * s, 9 * s)))
    anatomy.organ("fat", **ball((0, -12 * s, -43 * s), (17 * s, 34 * s, 8 * s)))

    plate = -FEMORAL_HEIGHT * s
    femur = anatomy.bone(
        "femur",
        [(-9 * s - tilt, -150 * s, lean), (-5 * s - 0.5 * tilt, -90 * s, 2 * s), (0, plate, 0)],
        [n * wide * slender for n in (14, 14, 14, 14.5, 16.5, 22.5)] + [38 * wide],
        [n * s * slender for n in (14, 14, 14, 14.5, 16, 18.5, 24)],
        [n * s * shell for n in (5, 4.8, 4.2, 3.2, 2.0, 1.2, 0.9)],
        (0, 2 * s),
        mineral(patient),
        end_cortex=1.1 * s,
    )
    femoral, _ = femoral_condyles(anatomy, patient, (0, plate, 0), s, wide)
    top = gap + TIBIAL_HEIGHT * s
    tibial = tibial_plateau(anatomy, patient, (0, top, -3 * s), s, wide)
    tibia = anatomy.bone(
        "tibia",
        [(0, top, -3 * s), (2 * s + 0.4 * tilt, top + 60 * s, -1 * s), (4 * s + tilt, top + 145 * s, -2 * s)],
        [36.5 * wide] + [n * wide * slender for n in (24, 17.5, 14.8, 13.5, 13, 13)],
        [n * s * slender for n in (24, 22, 19, 16.5, 15, 14, 14)],
        [n * s * shell for n in (0.9, 1.2, 2.2, 3.4, 4.2, 4.8, 5)],
        (2 * s, 0),
        mineral(patient),
        end_cortex=1.1 * s,
    )
    start = (-35 * wide + 0.3 * fibula_at, top + 13 * s, -14 * s)
    fibula = long_bone(
        anatomy, patient, "fibula", start, (-29 * s + tilt + fibula_at, top + 145 * s, -12 * s),
        (9.5 * s, 6 * s, 6 * s), 2.4 * s * shell, caps=(2 * s, 0),
    )  # fmt: skip
    fibular_head(anatomy, patient, start, s)
    patella(anatomy, patient, (0, 0, 0), s, high)
    anatomy.joint("knee joint", (0, gap / 2, -2 * s), 40 * wide, 32 * s, gap, faces=[*femoral, *tibial])
    anatomy.may_break("distal femur", femur, 0.6, 0.93, physis=True)
    anatomy.may_break("proximal tibia", tibia, 0.08, 0.4, physis=True)
    anatomy.may_break("proximal fibula", fibula, 0.1, 0.4)
    return anatomy


KNEE = BodyPart(
    "knee",
    build_knee,
    (View("AP"), View("lateral", turn=90)),
    joints=("knee joint",),
    fractures=("distal femur", "proximal tibia", "proximal fibula"),
)
