"""The rule engine puts each sentence of a report under the filmed parts it speaks of, and drops what no film shows."""

import asyncio
import html
import json
import re
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from curation_scores import Counts, marked, phantom_study, score
from hypothesis import given, settings
from hypothesis import strategies as st

from pedclip.configuration.configuration_pedclip import BODY_PARTS
from pedclip.processing.curation.parts import filmed_parts
from pedclip.processing.curation.rules import RuleEngine, assign_by_rules
from pedclip.processing.curation.schema import FilmedPart, Study, checked, text_of
from pedclip.processing.curation.splitting import split
from pedclip.processing.phantom.study import Clinic, studies_of


def study_of(report, *names):
    return Study("study", "patient", report, filmed_parts(names))


def texts(report, *names):
    study = study_of(report, *names)
    sentences = split(report)
    answer = checked(assign_by_rules(study, sentences), study, sentences)
    return {name: text_of(study, sentences, answer.of_part[name]) for name in names}


def reasons(report, *names):
    study = study_of(report, *names)
    sentences = split(report)
    dropped = assign_by_rules(study, sentences).dropped
    return {sentences[number].text: reason for number, reason in dropped.items() if reason != "heading"}


def test_the_paper_s_example_comes_out_as_its_figure_2_prints_it():
    # From the figure: the four sentences (the misspelt "joins" too) and where each is printed. Not known from
    # it: their order in the report, its history, and its wording beyond these.
    report = (
        "Clinical History: Skeletal dysplasia, for review.\n"
        "The femoral heads are enlocated. The sacroiliac joins appear normal. There is mild valgus angulation "
        "at the knee "
        "joints with minimal narrowing of the medial joint compartments. The articular surfaces of the femoral "
        "heads are "
        "smooth."
    )
    assert texts(report, "hip", "knee") == {
        "hip": "The femoral heads are enlocated. The sacroiliac joins appear normal. The articular surfaces of the "
        "femoral heads are smooth.",
        "knee": "There is mild valgus angulation at the knee joints with minimal narrowing of the medial joint "
        "compartments.",
    }
    assert reasons(report, "hip", "knee") == {"Skeletal dysplasia, for review.": "history"}


STAY = yaml.safe_load(Path(__file__).with_name("findings_that_stay.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", STAY["below_findings"])
def test_a_finding_stays_beside_a_word_of_history_or_of_the_office(text):
    assert reasons(f"FINDINGS: {text}", *BODY_PARTS) == {}


@pytest.mark.parametrize("text", STAY["first"])
def test_a_finding_stays_at_the_beginning_of_a_report(text):
    assert reasons(text, *BODY_PARTS) == {}


def test_a_long_list_of_views_ends():
    report = "AP" + ", plus" * 40 + " x"  # a pattern that takes it in two ways would take years
    assert reasons(report, "chest") == {report: "history"}


@pytest.mark.parametrize(
    ("report", "names", "truth"),
    [
        ("Chest, neck: no radiopaque foreign body.", ("chest", "cervical spine"), {"chest", "cervical spine"}),
        ("Fracture of the radial shaft. Overall alignment is near anatomic.", ("forearm", "elbow"), {"forearm"}),
        ("5th MC neck fx, 35 deg volar tilt.", ("hand", "cervical spine"), {"hand"}),
        ("Subungual exostosis.", ("left foot", "left knee"), {"left foot"}),
        ("Wedging of T6.", ("cervical spine", "thoracic spine"), {"thoracic spine"}),
        (
            "No injury of the shoulder, humerus or elbow.",
            ("shoulder", "humerus", "elbow"),
            {"shoulder", "humerus", "elbow"},
        ),
        ("Findings at the hand, hips and knee.", ("hand", "pelvis", "knee"), {"hand", "pelvis", "knee"}),
        ("Dactylitis of a finger and a toe.", ("hand", "foot", "knee"), {"hand", "foot"}),
        ("Femoral and tibial shaft fractures.", ("femur", "tib fib", "chest"), {"femur", "tib fib"}),
        ("Fracture of the proximal third of the ulna.", ("elbow", "forearm"), {"forearm"}),
        ("The pelvis is normal. Gibbus at L1/L2 with beaking of L1.", ("lateral spine", "pelvis"), {"lateral spine"}),
        ("Renal osteodystrophy at the wrist.", ("chest", "left wrist"), {"left wrist"}),
        ("The right acetabulum is shallow.", ("pelvis", "leg length"), {"pelvis"}),
        ("Genu valgum.", ("pelvis", "leg length"), {"leg length"}),
        ("The left lower limb is bowed.", ("left lower limb", "right lower limb"), {"left lower limb"}),
        ("Callus at the left tibia.", ("left lower limb", "right lower limb"), {"left lower limb"}),
        ("Fractures of the left 5th to 7th ribs.", ("ribs left", "ribs right"), {"ribs left"}),
        (
            "Femoral fracture and pubic ramus fracture on the pelvic view.",
            ("left femur", "pelvis"),
            {"left femur", "pelvis"},
        ),
        ("Pelvic obliquity is seen on the spine film.", ("spine", "pelvis"), {"spine"}),
        (
            "In the femur there is no fracture but the tibia is bowed.",
            ("left femur", "left tibia"),
            {"left femur", "left tibia"},
        ),
        (
            "The right tibia is broken. Callus on each side of the fracture.",
            ("left tibia", "right tibia"),
            {"right tibia"},
        ),
        ("The radii are intact on each side.", ("left forearm", "right forearm"), {"left forearm", "right forearm"}),
        ("Chest: clear. Lateral: no effusion.", ("chest", "left knee lateral"), {"chest"}),
        ("Pelvis normal. L5 is sacralised.", ("pelvis", "thoracic spine"), {"pelvis"}),
        (
            "AP: A long curve. Lateral: No listhesis.",
            ("spine whole AP", "spine whole lateral"),
            {"spine whole lateral"},
        ),
        ("Flat left femoral head. The head is uncovered by a third.", ("pelvis", "left knee"), {"pelvis"}),
        ("The pelvis is normal. The left hip has slipped. No slip on the right.", ("pelvis", "left hip"), {"pelvis"}),
    ],
)
def test_the_last_sentence_goes_where_it_belongs(report, names, truth):
    sentences = split(report)
    answer = assign_by_rules(study_of(report, *names), sentences)
    assert {name for name, numbers in answer.of_part.items() if sentences[-1].number in numbers} == truth


@pytest.mark.parametrize("name", ["skeletal survey", "babygram", "shunt series"])
def test_a_film_of_the_whole_body_takes_what_no_other_film_shows(name):
    report = "Rib fractures. The skull is normal. The left tibia has a corner fracture."
    assert texts(report, name) == {name: report}
    assert texts(report, name, "skull") == {
        name: "Rib fractures. The left tibia has a corner fracture.",
        "skull": "The skull is normal.",
    }


@pytest.mark.parametrize(
    "text",
    [
        "24+3 wks, day 9, abdominal distension.",
        "Stubbed toe, bleeding at the nail.",
        "Fell while skateboarding earlier today, neurovascularly intact.",
        "Mum tells us that he had a lesion excised from the right thigh.",
        "Psoriatic arthritis, baseline films before starting biologics.",
        "Post UVC insertion.",
        "Day 1 after open reduction in a spica cast.",
        "Last CXR in Feb.",
        "ENT review once swelling has subsided.",
        "Message left with the orthopedic resident on call.",
        "UVC to be withdrawn, nurse in charge told.",
        "MRI for confirmation of reduction is booked.",
        "Ultrasound is more sensitive for effusion.",
        "This addendum is issued at the request of the surgeons.",
        "A pulled elbow is a clinical diagnosis.",
        "For discussion at the spinal MDT.",
    ],
)
def test_what_others_wrote_of_no_film_is_dropped(text):
    assert list(reasons(text, "chest", "left elbow")) == [text]


def test_a_classification_s_letter_ends_its_sentence():
    report = "Left sided Perthes disease, Herring C. Orthopaedic referral is recommended."
    assert texts(report, "pelvis") == {"pelvis": "Left sided Perthes disease, Herring C."}


def test_the_phantom_s_reports_come_out():
    counts = Counts()
    for number in range(120):
        for study in studies_of(5, number, Clinic(wording="a")):
            score(*phantom_study(study), counts)
    assert counts.f1 > 0.98
    assert counts.leaked <= 0.01 * counts.history


CASES = [  # parts, report with its truth
    ("left knee|right knee", "{2}Right: No effusion. {2}Normal alignment. {1}Left: Large effusion. {1}Patella alta."),
    ("left knee|right knee", "{1,2}Both knees are normal. {1}The left patella is bipartite. {2}The right is not."),
    ("left wrist|left elbow", "{1}LEFT WRIST: THERE IS A BUCKLE FRACTURE. {2}LEFT ELBOW: NORMAL. {2}NO EFFUSION."),
    ("left wrist|left elbow", "{1,2}No fracture. {1}Distal radial physis normal. {2}Wait for the olecranon to "
     "ossify."),
    ("left wrist|left elbow", "{x}IMPRESSION:\n{x}1. {1}Left wrist - torus fracture {x}2. {2}Left elbow - normal"),
    ("lt wrist|rt elbow", "{1}Lt. wrist shows a fracture of the radius. {2}Rt. elbow is normal. {i}Dr. Who was "
     "informed."),
    ("left knee|left ankle", "{x}X-ray Left Knee\n{x}Findings: {1}No fracture. {x}Impression: {1}Normal.\n"
     "{x}X-ray Left Ankle\n{x}Findings: {2}Swelling. {x}Impression: {2}No fracture."),
    ("left knee|left ankle", "{x}EXAM: {t}XR KNEE LEFT\n{x}FINDINGS: {1}Effusion.\n{x}EXAM: {t}XR ANKLE LEFT\n"
     "{x}FINDINGS: {2}No fracture."),
    ("chest|left forearm", "{1}The lungs are clear. {2}Near anatomic alignment of both-bone forearm fractures. "
     "{1}No pneumothorax. {2}Ulnar callus is seen."),
    ("right ankle|right foot", "{1,2}No fracture in the foot or ankle. {1}Small ankle effusion. {2}Calcaneus normal."),
    ("left shoulder|left humerus|left elbow", "{2}Spiral fracture through the midshaft humerus. {1}The "
     "glenohumeral joint "
     "is congruent. {3}The capitellum is in place."),
    ("left clavicle|chest", "{h}Birth injury.\n{1}Left clavicle: Fracture with early callus.\n{2}Chest: Clear lungs.\n"
     "{1,2}No other fracture."),
    ("chest|abdomen|pelvis", "{1}LUNGS: Clear.\n{1}HEART: Normal.\n{x}ABDOMEN: {2}No masses.\n{x}PELVIS: "
     "{3}Hips located.\n"
     "{1,2,3}BONES: Unremarkable."),
    ("left elbow|left wrist", "{h}The patient is a 6-year-old boy who fell. {1}Two views of the left elbow "
     "demonstrate no "
     "effusion. {2}Three views of the left wrist demonstrate a buckle fracture. {i}Dictated but not read."),
    ("left hip|right hip", "{1}The left hip is dislocated. {2}The right is located. {1,2}Acetabular index is 32 "
     "degrees on the "
     "left and 20 degrees on the right."),
    ("left foot|right foot", "{1}The left first ray is short compared with the right. {2}Contralateral "
     "alignment is normal."),
    ("skull|right femur|left femur", "{1}Skull: No fracture.\n{2}Femurs: Corner fracture of the distal right femur. "
     "{3}The left is normal."),
    ("right lower leg|right knee", "{2}The tibial plateau is smooth. {2}No effusion. {1}The diaphysis shows a "
     "fracture line."),
    ("left wrist|left elbow", "{2}The supracondylar part of the humerus is intact. {2}Capitelum and trochlea "
     "are aligned. "
     "{1}Scaphiod normal."),
    ("pelvis|left femur", "{1}Paediatric pelvis without fracture. {2}Oblique fracture of the femoral diaphysis. "
     "{u}The "
     "contents of the skull are normal."),
    ("left index finger|left thumb|left hand", "{2}Tuft fracture of the thumb. {1}The index finger is normal. "
     "{3}Fifth "
     "metacarpal intact."),
    ("facial bones|mandible", "{1}No facial fracture. {2}The mandible is intact."),
    ("right foot", "{t}3 views right foot. {x}Indication: {h}pain. {x}Comparison: {c}None. {1}There is no acute "
     "fracture. "
     "{1}Os naviculare."),
    ("right foot", "{x}Indication: {h}Pain. {h}There is swelling and tenderness.\n{x}Technique: {t}2 views. "
     "{1}No fracture."),
    ("abdomen|chest", "{t}Single AP view chest and abdomen. {1}UVC tip at T9. {2}ETT above the carina. "
     "{1}Paucity of bowel gas. "
     "{2}No pneumothorax. {1,2}Skeletal structures normal."),
    ("right knee|right hip", "{h}Knee pain. {1}Knee: no effusion. {2}Hip: Mild slip of the epiphysis; {2}physis "
     "widened."),
    ("cervical spine|thoracic spine", "{1}C5 is wedged. {2}T7-T9 are normal. {1,2}The cervicothoracic junction "
     "is aligned."),
]  # fmt: skip


@pytest.mark.parametrize(("names", "report"), CASES)
def test_sentences_go_to_the_parts_they_speak_of(names, report):
    text, truths = marked(report)
    assert score(study_of(text, *names.split("|")), truths, Counts()) == []


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ("9-year-old girl with pain in the knee.", "history"),
        ("History of osteogenesis imperfecta.", "history"),
        ("Two views of the left knee were obtained.", "technique"),
        ("AP and lateral left knee.", "technique"),
        ("No prior studies are available for comparison.", "comparison"),
        ("Compared with radiographs dated 3 May 2021.", "comparison"),
        ("Results were telephoned to the ward at 10:40.", "irrelevant"),
        ("Electronically signed by A. Nobody, MD.", "irrelevant"),
        ("MRI of the knee is recommended.", "irrelevant"),
        ("Clinical correlation is advised.", "irrelevant"),
        ("If pain persists, repeat radiographs in 10 days are advised.", "irrelevant"),
        ("The study is limited by motion.", "irrelevant"),
        ("The right elbow is normal.", "unassigned"),
        ("The right knee is normal.", "unassigned"),
    ],
)
def test_what_no_film_of_the_study_shows_is_dropped_with_its_reason(report, reason):
    assert list(reasons(f"{report} The left knee is normal.", "left knee").values()) == [reason]


@pytest.mark.parametrize(
    "report",
    [
        "Compared with 3 May 2021, the fracture has healed.",
        "No change since the prior study of the knee.",
        "Two views of the left knee show no fracture.",
        "Healing fracture of the patella, clinical correlation is advised.",
        "Lateral view shows a small effusion.",
        "Question small effusion.",
    ],
)
def test_a_finding_is_kept_whatever_is_said_beside_it(report):
    assert texts(f"Findings: {report}", "left knee") == {"left knee": report}


def test_places_that_two_films_show_go_to_both_or_to_the_one_that_was_spoken_of():
    both = texts("Fracture of the distal radius.", "left wrist", "left forearm")
    assert both["left wrist"] == both["left forearm"] == "Fracture of the distal radius."
    one = texts("Carpal bones are normal. Fracture of the distal radius.", "left wrist", "left forearm")
    assert one["left forearm"] == ""
    assert texts("The femoral head is round.", "pelvis", "left hip")["pelvis"] == ""
    assert texts("The tibial plateau is intact.", "left knee", "left lower leg")["left lower leg"] == ""


def test_a_title_rules_what_stands_below_it():
    report = "FOREARM\nFracture of the distal radius.\nNo dislocation.\nWRIST\nNormal.\nIMPRESSION\nNormal carpus."
    assert texts(report, "right forearm", "right wrist") == {
        "right forearm": "Fracture of the distal radius. No dislocation.",
        "right wrist": "Normal. Normal carpus.",
    }


def test_an_impression_without_anatomy_is_matched_with_the_findings():
    report = "Findings: Torus fracture of the distal radius. The elbow is normal. Impression: Torus fracture."
    assert texts(report, "left wrist", "left elbow") == {
        "left wrist": "Torus fracture of the distal radius. Torus fracture.",
        "left elbow": "The elbow is normal.",
    }


def test_a_part_without_expert_and_a_study_without_parts_are_answered():
    report = "No fracture. The lungs are clear."
    whole = Study("s", "p", report, (FilmedPart("babygram", None, None),))
    assert assign_by_rules(whole, split(report)).of_part["babygram"] == (0, 1)
    nothing = Study("s", "p", report, ())
    answer = checked(assign_by_rules(nothing, split(report)), nothing, split(report))
    assert answer.dropped == {0: "unassigned", 1: "unassigned"}


def test_the_engine_says_who_answered_and_how_sure_it_is():
    study = study_of("The left knee is normal. No fracture.", "left knee", "left hip")
    engine = RuleEngine()
    answer = asyncio.run(engine.assign(study, split(study.report)))
    assert answer == assign_by_rules(study, split(study.report))
    assert engine.provenance.engine == "rules" and engine.provenance.prompt_version == "rules-3"
    assert 0.5 < answer.confidence["left knee"] < 1
    assert answer.confidence["left hip"] == 0


WORDS = st.sampled_from(
    "left right both knee hips femoral head distal radius of the and no fracture normal . ; : , FINDINGS: "
    "History: KNEES\n \n 1. - "
    "L5 compared with effusion is ? ( ) recommended dr".split(" ")
)


@settings(deadline=None, max_examples=120)
@given(st.lists(WORDS, max_size=30).map(" ".join), st.sets(st.sampled_from(["left knee", "hip", "chest", "R wrist"])))
def test_any_report_gets_an_answer_that_fits_its_study(report, names):
    study = study_of(report, *sorted(names))
    sentences = split(report)
    checked(assign_by_rules(study, sentences), study, sentences)


@pytest.mark.slow
def test_all_open_i_reports_and_roco_captions_pass(shared_data):
    kept = SimpleNamespace(reports=0, captions=0)
    with tarfile.open(shared_data / "reports" / "openi_NLMCXR_reports.tgz") as archive:
        for member in archive:
            if member.name.endswith(".xml"):
                source = archive.extractfile(member).read().decode()
                pieces = re.findall(r'<AbstractText Label="([^"]*)">(.*?)</AbstractText>', source, re.DOTALL)
                _answered("\n".join(f"{label}: {html.unescape(text)}" for label, text in pieces), "chest")
                kept.reports += 1
    with open(shared_data / "reports" / "roco_xray_captions_ccby.jsonl", encoding="utf-8") as lines:
        for line in lines:
            _answered(json.loads(line)["text"], "chest", "left hand", "pelvis")
            kept.captions += 1
    assert (kept.reports, kept.captions) == (3955, 1208)


def _answered(report, *names):
    study = study_of(report, *names)
    sentences = split(report)
    assert sum(len(s.text) for s in sentences) >= len("".join(report.split()))
    checked(assign_by_rules(study, sentences), study, sentences)
