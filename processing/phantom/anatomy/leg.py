"""The thigh and the lower leg. Measures are an adult man's in mm, rounded from textbooks, times the child's scale."""

from ..growth import flesh_scale, length_scale, mineral
from .bones import long_bone
from .foot import distal_fibula, distal_tibia, foot_flesh, hindfoot
from .knee import FEMORAL_HEIGHT, TIBIAL_HEIGHT, femoral_condyles, fibular_head, patella, tibial_plateau
from .part import BodyPart, View
from .pelvis import HIP_AT, draw_side, innominate, proximal_femur
from .solids import Anatomy, Shape


def build_femur(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = flesh_scale(patient) * shape.vary(0.03)
    anatomy = Anatomy(extent=(260 * s, 520 * s), energy=44)
    wide, bow = s * shape.vary(0.04), 9 * s * shape.vary(0.25)
    gap, swing = 4.5 * s * shape.vary(0.1), shape.offset(7.0) * s
    high = shape.vary(0.1)
    hip_y, knee_y = -212 * s, 215 * s
    side = draw_side(shape, "", -1, (10 + HIP_AT) * s, hip_y, s, 0.0)
    anatomy.flesh(
        [
            (-14 * s, -340 * s, -6 * f),
            (-14 * s + swing, -100 * s, 0),
            (-6 * s - swing, 120 * s, 0),
            (0, 320 * s, -4 * f),
        ],
        [n * f for n in (93, 92, 88, 79, 67, 59, 56, 53)],
        [n * f for n in (76, 77, 76, 71, 63, 58, 56, 53)],
        skin=7 * f,
    )
    anatomy.flesh(
        [(92 * s, -360 * s, -6 * f), (84 * s, -110 * s, -6 * f)],
        110 * f,
        [68 * f, 68 * f, 60 * f],
        (0, 150 * f),
        skin=8 * f,
    )
    innominate(anatomy, patient, side)
    physis = (0.0, knee_y - FEMORAL_HEIGHT * s, 0.0)
    course = [(-23 * s, -55 * s, bow), (-11 * s, 65 * s, bow), physis]
    numbers = proximal_femur(anatomy, patient, side, shaft=course)
    femoral_condyles(anatomy, patient, physis, s, wide)
    patella(anatomy, patient, (0, knee_y, 0), s, high)
    top = knee_y + gap + TIBIAL_HEIGHT * s
    tibial_plateau(anatomy, patient, (0, top, -3 * s), s, wide)
    shin = (3 * s, top + 90 * s, -2 * s)
    long_bone(
        anatomy, patient, "tibia", (0, top, -3 * s), shin, (36.5 * wide, 16 * s, 14 * s), 4 * s,
        flatness=0.75, caps=(2 * s, 0),
    )  # fmt: skip
    fibula = (-35 * wide, top + 13 * s, -14 * s)
    long_bone(anatomy, patient, "fibula", fibula, (-30 * s, top + 90 * s, -12 * s), (9 * s, 6 * s, 6 * s), 2 * s)
    fibular_head(anatomy, patient, fibula, s)
    anatomy.may_break("femoral shaft", numbers["shaft"], 0.25, 0.75)
    return anatomy


def build_lower_leg(shape: Shape) -> Anatomy:
    patient = shape.patient
    s = length_scale(patient) * shape.vary(0.03)
    f = flesh_scale(patient) * shape.vary(0.03)
    dense = mineral(patient)
    anatomy = Anatomy(extent=(150 * s, 445 * s), energy=46)
    wide, slender, shell = s * shape.vary(0.04), shape.vary(0.06), shape.vary(0.1)
    bow, apart, lean = shape.offset(3.0) * s, shape.offset(2.0) * s, shape.offset(4.0) * s
    knee_gap, ankle_gap = 4.5 * s * shape.vary(0.1), 4.0 * s * shape.vary(0.1)
    calf, high = shape.vary(0.06), shape.vary(0.1)
    knee_y, ankle_y = -188 * s, 188 * s
    anatomy.flesh(
        [(-2 * s, -330 * s, 0), (-3 * s, -120 * s, -12 * f), (0, 60 * s, -9 * f), (0, 222 * s, -5 * f)],
        [66 * f, 60 * f, 55 * f] + [n * f * calf for n in (57, 53, 43)] + [36 * f, 35 * f, 36 * f],
        [66 * f, 60 * f, 55 * f] + [n * f * calf for n in (58, 54, 45)] + [39 * f, 37 * f, 38 * f],
        (0, 20 * f),
        skin=5 * f,
    )
    foot_flesh(anatomy, (0, ankle_y, 0), s, f)
    physis = (0.0, knee_y - FEMORAL_HEIGHT * s, 0.0)
    long_bone(
        anatomy, patient, "femur", (-8 * s, knee_y - 130 * s, 0), physis, (14 * s, 14.5 * s, 38 * wide), 4.5 * s,
        flatness=0.8, caps=(0, 2 * s),
    )  # fmt: skip
    femoral_condyles(anatomy, patient, physis, s, wide)
    patella(anatomy, patient, (0, knee_y, 0), s, high)

    top, bottom = knee_y + knee_gap + TIBIAL_HEIGHT * s, ankle_y - 16 * s
    tibial_plateau(anatomy, patient, (0, top, -3 * s), s, wide)
    course = [
        (0, top, -3 * s),
        (2 * s + bow, top + 110 * s, 2 * s),
        (3 * s + bow, bottom - 110 * s, 2 * s),
        (2 * s, bottom, 0),
    ]
    width = (36.5, 22, 16.5, 14.2, 13.4, 12.8, 12.4, 12.2, 12.3, 12.8, 14, 16.5, 23)
    depth = (24, 20.5, 18, 16.5, 15.5, 14.8, 14, 13.5, 13.2, 13.2, 14, 15.5, 19)
    cortex = (0.9, 1.8, 3.2, 4.2, 4.8, 5, 5, 4.8, 4.4, 3.8, 2.8, 1.6, 0.9)
    tibia = anatomy.bone(
        "tibia",
        course,
        [width[0] * wide] + [n * s * slender for n in width[1:-1]] + [width[-1] * wide],
        [n * s * slender for n in depth],
        [n * s * shell for n in cortex],
        (2 * s, 2 * s),
        dense,
        end_cortex=1.0 * s,
    )
    distal_tibia(anatomy, patient, (2 * s, ankle_y, 0), s, wide)
    head, plate = (-35 * wide, top + 13 * s, -14 * s), (-26 * wide, ankle_y + 1 * s, -6 * s)
    fibula = anatomy.bone(
        "fibula",
        [
            head,
            (-31 * s - apart + bow, top + 110 * s, -13 * s),
            (-25 * s - apart + bow, bottom - 110 * s, -11 * s),
            plate,
        ],
        [n * s * slender for n in (9.5, 6.2, 5.6, 6, 6.2, 6, 5.8, 6.2, 8.3)],
        [n * s * slender for n in (9, 6.5, 6, 6.3, 6.5, 6.3, 6.2, 7, 9.5)],
        [n * s * shell for n in (0.7, 1.6, 2.2, 2.6, 2.6, 2.5, 2.3, 1.6, 0.7)],
        (2 * s, 1.5 * s),
        dense,
        end_cortex=0.8 * s,
    )
    fibular_head(anatomy, patient, head, s)
    distal_fibula(anatomy, patient, plate, s)
    hindfoot(anatomy, patient, (1 * s, ankle_y + ankle_gap, lean), s, far=True)
    anatomy.may_break("tibial shaft", tibia, 0.25, 0.75)
    anatomy.may_break("fibular shaft", fibula, 0.25, 0.75)
    return anatomy


FEMUR = BodyPart("femur", build_femur, (View("AP"), View("lateral", turn=90)), fractures=("femoral shaft",))
LOWER_LEG = BodyPart(
    "lower_leg",
    build_lower_leg,
    (View("AP"), View("lateral", turn=90)),
    fractures=("tibial shaft", "fibular shaft"),
)
