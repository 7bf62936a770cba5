"""Which findings a body part can have, and which parts belong together."""

from .records import ARTHRITIS_CONCEPTS, CHEST_FINDINGS

_BONE = ("fracture",)
_JOINT = ("fracture", *ARTHRITIS_CONCEPTS)

APPLICABLE: dict[str, tuple[str, ...]] = {
    "abdomen": (),
    "ankle": _JOINT,
    "cervical_spine": (),
    "chest": CHEST_FINDINGS,
    "clavicle": _BONE,
    "elbow": _JOINT,
    "face": _BONE,
    "femur": _BONE,
    "finger": _JOINT,
    "foot": _JOINT,
    "forearm": _BONE,
    "hand": _JOINT,
    "hip": (*_JOINT, "hip dysplasia"),
    "humerus": _BONE,
    "knee": _JOINT,
    "lower_leg": _BONE,
    "lumbar_spine": ("scoliosis",),
    "pelvis": ("hip dysplasia",),
    "shoulder": _JOINT,
    "skull": _BONE,
    "thoracic_spine": ("scoliosis",),
    "whole_spine": ("scoliosis",),
    "wrist": _JOINT,
}

# A group shares histories and normal statements.
_OTHER_GROUPS = {
    "abdomen": "abdomen",
    "cervical_spine": "spine",
    "chest": "chest",
    "face": "head",
    "lumbar_spine": "spine",
    "pelvis": "pelvis",
    "skull": "head",
    "thoracic_spine": "spine",
    "whole_spine": "spine",
}
GROUPS: dict[str, str] = {part: _OTHER_GROUPS.get(part, "limb") for part in APPLICABLE}
