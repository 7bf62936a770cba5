"""The table of the 23 body parts, and how often a phantom clinic films each."""

from .anatomy.abdomen import ABDOMEN
from .anatomy.arm import ELBOW, FOREARM, HUMERUS
from .anatomy.chest import CHEST
from .anatomy.foot import ANKLE, FOOT
from .anatomy.hand import FINGER, HAND, WRIST
from .anatomy.head import FACE, SKULL
from .anatomy.knee import KNEE
from .anatomy.leg import FEMUR, LOWER_LEG
from .anatomy.part import BodyPart
from .anatomy.pelvis import HIP, PELVIS
from .anatomy.shoulder import CLAVICLE, SHOULDER
from .anatomy.spine import CERVICAL_SPINE, LUMBAR_SPINE, THORACIC_SPINE, WHOLE_SPINE

PARTS: dict[str, BodyPart] = {
    part.name: part
    for part in (
        ABDOMEN, ANKLE, CERVICAL_SPINE, CHEST, CLAVICLE, ELBOW, FACE, FEMUR, FINGER, FOOT, FOREARM, HAND, HIP, HUMERUS,
        KNEE, LOWER_LEG, LUMBAR_SPINE, PELVIS, SHOULDER, SKULL, THORACIC_SPINE, WHOLE_SPINE, WRIST,
    )
}  # fmt: skip

# Shares of exams, up to a factor. As in the paper chest, wrist and forearm lead; the chest has seven findings.
FREQUENCY = dict.fromkeys(PARTS, 1.0) | {
    "chest": 8.0,
    "wrist": 2.0,
    "forearm": 1.5,
    "hand": 2.0,
    "finger": 1.5,
    "elbow": 2.0,
    "shoulder": 1.5,
    "knee": 2.0,
    "ankle": 2.0,
    "foot": 2.0,
    "hip": 2.5,
    "pelvis": 1.5,
    "whole_spine": 1.5,
}
