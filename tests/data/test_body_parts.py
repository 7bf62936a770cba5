"""Names of body parts reach the right expert, or none, or stop with a list: nothing is guessed."""

import json

import pytest

from pedclip.configuration.configuration_pedclip import BODY_PARTS
from pedclip.processing.data.body_parts import UnknownBodyPartError, body_part_of, expert_index, expert_indices

# The standard's terms (PS3.16, Annex L)
DICOM_TERMS = """
ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK CALCANEUS CALF CAROTID
CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA CORONARYARTERY
CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER FOOT GALLBLADDER HAND HEAD HEADNECK
HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE LARYNX LEG LIVER LSPINE LSSPINE LUNG MAXILLA MEDIASTINUM
MOUTH NECK NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX
PROSTATE RADIUS RADIUSULNA RECTUM RIB SCALP SCAPULA SCLERA SCROTUM SHOULDER SKULL SPINE SPLEEN SSPINE STERNUM STOMACH
SUBMANDIBULAR TESTIS THIGH THUMB THYMUS THYROID TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA TSPINE ULNA URETER
URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA
""".split()


def test_each_of_the_23_means_itself():
    assert [body_part_of(part) for part in BODY_PARTS] == list(BODY_PARTS)
    assert expert_indices(BODY_PARTS, BODY_PARTS) == list(range(23))


def test_every_term_of_the_dicom_standard_is_known():
    expert_indices(DICOM_TERMS, BODY_PARTS)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("CSPINE", "cervical_spine"),
        ("TSPINE", "thoracic_spine"),
        ("LSPINE", "lumbar_spine"),
        ("SSPINE", "lumbar_spine"),
        ("SPINE", "whole_spine"),
        ("LEG", "lower_leg"),
        ("ARM", "humerus"),
        ("TIBIAFIBULA", "lower_leg"),
        ("JAW", "face"),
        ("VinDr-PCXR", "chest"),
        ("GRAZPEDWRI-DX", "wrist"),
        ("RSNA Bone Age", "hand"),
        ("XR_FOREARM", "forearm"),
        ("left wrist", "wrist"),
        ("R hand", "hand"),
        ("Both Feet", "foot"),
        ("tib/fib", "lower_leg"),
        ("NOF", "hip"),
        ("XR L-spine AP and LAT", "lumbar_spine"),
        ("R T-spine", "thoracic_spine"),
        ("x-ray of the left elbows", "elbow"),
        ("Radius and Ulna", "forearm"),
        ("XR CHEST 2 VW", "chest"),
        ("XR Foot Min 3 Views Left", "foot"),
        ("Spine, lumbar", "lumbar_spine"),
        ("spine whole lateral", "whole_spine"),
        ("Tib & Fib Lt", "lower_leg"),
        ("Left 2nd toe", "foot"),
        ("XR Hand Lt for bone age", "hand"),
        ("Pelvis postop", "pelvis"),
        ("leg lengths", None),
        ("VP shunt series", None),
    ],
)
def test_names_of_devices_data_sets_and_reports_reach_their_part(name, part):
    assert body_part_of(name) == part


def test_a_name_that_covers_several_parts_goes_to_the_stated_one_or_to_none():
    names = ["foot_ankle", "pelvis_hip", "elbow_forearm", "whole_body", "EXTREMITY"]
    found = [expert_index(name, BODY_PARTS) for name in names]
    assert found == [BODY_PARTS.index("foot"), BODY_PARTS.index("pelvis"), BODY_PARTS.index("elbow"), -100, -100]


def test_a_missing_name_has_no_expert():
    assert expert_index(None, BODY_PARTS) == -100
    assert expert_index("  ", BODY_PARTS) == -100


def test_unknown_names_are_all_listed_and_none_is_guessed_from_a_part_of_it():
    with pytest.raises(UnknownBodyPartError) as error:
        expert_indices(["chest", "handle", "chestnut", "hand", "handle"], BODY_PARTS)
    assert error.value.names == ["chestnut", "handle"]
    assert "body_part_experts" in str(error.value)


def test_a_models_own_list_goes_before_the_table_and_lacks_what_it_lacks():
    own = ["spine", "hand"]
    assert expert_index("Spine", own) == 0
    assert expert_index("left hand", own) == 1
    assert expert_index("knee", own) == -100


def test_a_recipe_may_send_a_name_elsewhere_or_nowhere():
    experts = {"extremity of doubt": "hand", "chest": None}
    assert expert_index("extremity of doubt", BODY_PARTS, experts) == BODY_PARTS.index("hand")
    assert expert_index("chest", BODY_PARTS, experts) == -100
    with pytest.raises(ValueError, match="hnad"):
        expert_index("odd", BODY_PARTS, {"odd": "hnad"})


def test_every_body_part_of_the_shared_radiographs_is_known(xr):
    names = {json.loads(line)["body_part"] for line in (xr / "metadata.jsonl").open()}
    assert len(names) == 12
    expert_indices(names, BODY_PARTS)
