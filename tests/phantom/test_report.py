import re
from dataclasses import replace

import numpy as np
import pytest

from pedclip.processing.phantom.applicable import APPLICABLE, GROUPS
from pedclip.processing.phantom.phrases import fill, load_phrases, read_phrases, templates
from pedclip.processing.phantom.radiologist import STYLES
from pedclip.processing.phantom.records import (
    ARTHRITIS_CONCEPTS,
    CHEST_FINDINGS,
    FINDINGS,
    FRACTURE_KINDS,
    Exam,
    Finding,
    Patient,
)
from pedclip.processing.phantom.report import write_report

JOINTS = {
    "finger": "proximal interphalangeal joint",
    "foot": "first metatarsophalangeal joint",
    "hand": "second metacarpophalangeal joint",
}
BONES = {
    "ankle": "distal fibula",
    "clavicle": "midshaft of the clavicle",
    "elbow": "distal humerus",
    "face": "body of the mandible",
    "femur": "femoral shaft",
    "finger": "middle phalanx",
    "foot": "fifth metatarsal",
    "forearm": "radial shaft",
    "hand": "fifth metacarpal",
    "hip": "femoral neck",
    "humerus": "humeral shaft",
    "knee": "proximal tibia",
    "lower_leg": "tibial shaft",
    "shoulder": "proximal humerus",
    "skull": "parietal bone",
    "wrist": "distal radius",
}
SIDED = [part for part, group in GROUPS.items() if group == "limb"]
PLURAL_STEMS = {"foot": "f", "humerus": "humer"}
CONTEXT = ("history", "technique", "comparison", "irrelevant", "heading")

# What a reader with a list of words sees, both sets together; written without looking at the tags and fields.
KEYWORDS = {
    "fracture": r"fractur|cortical break|broken|bony injury|\bbreak\b|#",
    "inflammation": r"inflam|synovitis|arthritic activity|active arthritis|arthritically",
    "bony change": r"bony change|remodel|juxta-articular bone|bone next to",
    "erosion": r"erosi|eroded|scallop",
    "joint space narrowing": r"narrow|loss of joint space|space loss|reduced|diminished|lost height",
    "soft tissue swelling": r"swelling|swollen|puff|thicken|contours bulge",
    "joint effusion": r"(?<!pleural )effusion|intra-articular|capsul|(?<!pleural )fluid (within|of the)"
    r"|collected within|amount of fluid",
    "consolidation": r"consolidat|air space|pneumonic|opacif",
    "pleural effusion": r"pleural effusion|pleural fluid|collected in the pleural|pleural space .* holds \S+ fluid",
    "pneumothorax": r"pneumothora|pleural air|entered the pleural|holds \S+ free air",
    "cardiomegaly": r"cardiomegaly|cardiac enlargement|enlarged|size is \w+ increased|wid(ened|ening)|too large|"
    r"enlargement of the cardiac|heart shadow (measures|exceeds)|large heart",
    "atrial septal defect": r"\batrial septal|\basd\b|the atria|interatrial",
    "ventricular septal defect": r"ventricular septal|\bvsd\b|the ventricles|interventricular",
    "patent ductus arteriosus": r"ductus|\bpda\b|ductal",
    "scoliosis": r"scolio|curv|lateral deviation|sideways",
    "hip dysplasia": r"dysplas|ddh|underdevelop|steep|deficient",
}
ALL_OF_A_JOINT = r"evidence of arthritis|speaks for joint disease"
ALL_SHUNTS = r"left-to-right shunt|shunt configuration|shunt lesion"
DENIAL = r"\b(no|not|without|neither|nothing|negative|none|absent|in vain|free of)\b"
UNTRUE_WITH = {  # normal statements that nobody may write beside the finding
    "fracture": r"\bintact|bones are normal\b|skeletal structures|(?<!arcs) followed throughout|anatomical|"
    r"alignment is normal",
    "soft tissue swelling": r"soft tissues are unremarkable|muscle and fat",
    "joint effusion": r"soft tissues are unremarkable|muscle and fat",
    "joint space narrowing": r"joint spaces are preserved|usual width",
    "erosion": r"surfaces are smooth|margins are even|bones are normal\b|skeletal structures",
    "bony change": r"bones are normal\b|skeletal structures|mineralisation|bone density",
    "consolidation": r"lungs are clear|well aerated|heart and lungs|cardiopulmonary",
    "pleural effusion": r"angles are sharp|recesses are free",
    "cardiomegaly": r"heart size is normal|ordinary width and|heart and lungs|cardiopulmonary",
    "atrial septal defect": r"mediastinal contours are normal|ordinary width and|ordinary borders",
    "scoliosis": r"normally aligned|runs straight",
    "hip dysplasia": r"well covered|deep",
}


def draw_finding(random, part: str, name: str) -> Finding:
    kind = None
    if name == "fracture":
        place = BONES[part]
        kind = FRACTURE_KINDS[random.integers(6)] if random.random() < 0.9 else None
    elif name in ARTHRITIS_CONCEPTS:
        place = JOINTS.get(part, f"{part} joint")
    elif name == "scoliosis":
        place = "spine" if part == "whole_spine" else part.replace("_", " ")
    elif name == "hip dysplasia":
        place = "hip joint" if part == "hip" else ("left hip", "right hip")[random.integers(2)]
    else:
        place = ("left lower zone", "right upper zone")[random.integers(2)] if name in CHEST_FINDINGS[:3] else "heart"
    return Finding(name, float(random.uniform(0.05, 1)), place, kind)


def draw_exam(random, part: str, side: str = "") -> Exam:
    names = random.permutation(APPLICABLE[part])[: random.integers(4)] if APPLICABLE[part] else []
    findings = tuple(draw_finding(random, part, str(name)) for name in names)
    laterality = side or ("left", "right")[random.integers(2)]
    views = ("ap", "lateral", "oblique")[: random.integers(1, 4)]
    return Exam(part, laterality if part in SIDED else None, views, findings)


def draw_patient(random) -> Patient:
    age = int(random.integers(216))
    sex = ("female", "male")[random.integers(2)]
    return Patient("child", age, sex, age + float(random.normal(0, 10)), 0.0, 0.0)


def draw_study(seed: int):
    random = np.random.default_rng(seed)
    parts = [str(part) for part in random.permutation(list(APPLICABLE))[: random.integers(1, 4)]]
    if random.random() < 0.3:
        part = SIDED[random.integers(len(SIDED))]
        exams = [draw_exam(random, part, "left"), draw_exam(random, part, "right")]
    else:
        exams = [draw_exam(random, part) for part in parts]
    return draw_patient(random), exams


@pytest.fixture(scope="module", params=["a", "b"])
def reports(request):
    """Some hundred studies and their reports."""
    rows = []
    for seed in range(400):
        patient, exams = draw_study(seed)
        random = np.random.default_rng(seed)
        rows.append((exams, write_report(patient, exams, wording=request.param, radiologist=seed, random=random)))
    return rows


def spoken_names(text: str) -> set[str]:
    """The findings that a sentence names, by keywords."""
    text = text.lower()
    names = {name for name, pattern in KEYWORDS.items() if re.search(pattern, text)}
    if re.search(ALL_OF_A_JOINT, text):
        names |= set(ARTHRITIS_CONCEPTS)
    return names | set(CHEST_FINDINGS[4:]) if re.search(ALL_SHUNTS, text) else names


def test_the_same_arguments_and_random_state_write_the_same_report():
    patient, exams = draw_study(5)
    one, two, other = (
        write_report(patient, exams, radiologist=3, random=np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    assert one == two
    assert one != other


def test_the_two_sets_share_no_template():
    assert not templates(load_phrases("a")) & templates(load_phrases("b"))


@pytest.mark.parametrize("wording", ["a", "b"])
def test_every_finding_has_eight_phrasings_and_every_part_four_normal_statements(wording):
    phrases = load_phrases(wording)
    for name, finding in phrases["findings"].items():
        assert len({*finding["full"], *finding["terse"]}) >= 8, name
        assert all(re.search(KEYWORDS[name], text.lower()) for text in finding["absent"])
    for part, row in phrases["normal"]["parts"].items():
        assert len(row["own"]) + len(phrases["normal"]["shared"].get(GROUPS[part], ())) >= 4, part


def test_text_holds_the_sentences_in_order(reports):
    for _, report in reports:
        position = 0
        for sentence in report.sentences:
            position = report.text.index(sentence.text, position) + len(sentence.text)
        rest = re.sub(r"^\d+\. ", "", report.text, flags=re.MULTILINE)
        assert len(rest.split()) == sum(len(sentence.text.split()) for sentence in report.sentences)


def test_no_sentence_affirms_an_absent_finding_or_denies_a_present_one(reports):
    for exams, report in reports:
        for sentence in report.sentences:
            denies = bool(re.search(DENIAL, sentence.text.lower()))
            for i in sentence.exams:
                present = {finding.name for finding in exams[i].findings}
                for names in (set(sentence.findings), spoken_names(sentence.text)):
                    assert not names & present if denies else names <= present, sentence


def test_the_fields_of_a_sentence_agree_with_its_words(reports):
    for _, report in reports:
        for sentence in report.sentences:
            if sentence.exams:
                assert spoken_names(sentence.text) == set(sentence.findings), sentence
                denies = bool(re.search(DENIAL, sentence.text.lower()))
                if sentence.kind in ("finding", "hedged finding", "negation"):
                    assert denies == (sentence.kind == "negation"), sentence
                assert sentence.kind not in CONTEXT
                assert all(name in FINDINGS for name in sentence.findings)


def test_normal_statements_do_not_contradict_a_finding(reports):
    for exams, report in reports:
        for sentence in report.sentences:
            for finding in [finding for i in sentence.exams for finding in exams[i].findings]:
                if sentence.kind == "normal" and finding.name in UNTRUE_WITH:
                    assert not re.search(UNTRUE_WITH[finding.name], sentence.text.lower()), (finding, sentence)


def test_every_present_finding_is_said_and_every_exam_spoken_of(reports):
    for exams, report in reports:
        for i, exam in enumerate(exams):
            own = [sentence for sentence in report.sentences if i in sentence.exams]
            said = {name for sentence in own if "finding" in sentence.kind for name in sentence.findings}
            assert own
            assert said == {finding.name for finding in exam.findings}


def test_what_is_said_of_an_exam_is_two_to_five_sentences_mostly(reports):
    counts = [sum(i in s.exams for s in report.sentences) for exams, report in reports for i in range(len(exams))]
    words = [len(report.text_of(i).split()) for exams, report in reports for i in range(len(exams))]
    assert np.mean([2 <= count <= 5 for count in counts]) > 0.9
    assert np.mean([count <= 70 for count in words]) > 0.95


def test_context_speaks_of_no_exam(reports):
    seen = set()
    for _, report in reports:
        for sentence in report.sentences:
            if sentence.kind in CONTEXT:
                assert sentence.exams == () and sentence.findings == ()
                seen.add(sentence.kind)
            else:
                assert sentence.exams
    assert seen == set(CONTEXT)


def test_with_several_exams_a_sentence_names_its_part_or_follows_one_that_does(reports):
    for exams, report in reports:
        current = None
        for sentence in report.sentences:
            text = sentence.text.lower()
            if sentence.kind == "heading":
                current = next((i for i, exam in enumerate(exams) if exam.name in text), None)
            elif len(sentence.exams) == 1:
                (i,) = sentence.exams
                assert len(exams) == 1 or exams[i].name in text or current == i, (sentence, report.text)
                current = i
            elif sentence.exams:
                words = {PLURAL_STEMS.get(exams[i].body_part, exams[i].body_part) for i in sentence.exams}
                assert all(word.replace("_", " ") in text for word in words), sentence
                current = None


def test_some_sentences_speak_of_two_exams(reports):
    kinds = {sentence.kind for _, report in reports for sentence in report.sentences if len(sentence.exams) > 1}
    assert kinds == {"finding", "negation", "normal", "impression"}


def test_reports_are_well_formed_english(reports):
    for _, report in reports:
        assert not re.search(r"[{}]|  | ,|\.\.|\?\.| \.", report.text), report.text
        assert not re.search(r"\b(\w+) \1\b", report.text, re.IGNORECASE), report.text
        assert not re.search(r"\b[Aa] ([aeio]|un(?!i)|ul|8|11\b|18\b|AP\b)", report.text), report.text
        assert not re.search(r"\b[Aa]n [^aeioux81AIEOU]", report.text), report.text
        for sentence in report.sentences:
            assert sentence.text[0] == sentence.text[0].upper()
            assert sentence.text.endswith((".", "?", ":"))


def test_context_is_independent_of_the_findings():
    for seed in range(100):
        patient, exams = draw_study(seed)
        healthy = [replace(exam, findings=()) for exam in exams]
        contexts = [
            {
                (sentence.kind, sentence.text)
                for sentence in write_report(
                    patient, which, radiologist=seed, random=np.random.default_rng(seed)
                ).sentences
                if sentence.kind in CONTEXT[:4]
            }
            for which in (exams, healthy)
        ]
        assert contexts[0] == contexts[1]


@pytest.mark.parametrize("wording", ["a", "b"])
def test_every_part_gets_its_normal_statements(wording):
    patient = Patient("child", 100, "female", 100.0, 0.0, 0.0)
    for part in APPLICABLE:
        exam = Exam(part, "left" if part in SIDED else None, ("ap",))
        texts = {
            sentence.text
            for seed in range(60)
            for sentence in write_report(
                patient, [exam], wording=wording, radiologist=seed, random=np.random.default_rng(seed)
            ).sentences
            if sentence.kind == "normal"
        }
        assert len(texts) >= 4, part


def test_mild_findings_are_hedged_more_often_than_marked_ones():
    patient = Patient("child", 100, "male", 100.0, 0.0, 0.0)

    def hedged(severity: float) -> int:
        exam = Exam("knee", "left", ("ap",), (Finding("joint effusion", severity, "knee joint"),))
        reports = (write_report(patient, [exam], radiologist=i, random=np.random.default_rng(i)) for i in range(200))
        return sum(s.kind == "hedged finding" for report in reports for s in report.sentences)

    assert hedged(0.2) > 2 * hedged(0.5) > 2 * hedged(0.9) > 0


def test_radiologists_differ_in_layout():
    patient, exams = draw_study(1)
    reports = [
        write_report(patient, exams, radiologist=i, random=np.random.default_rng(0)) for i in range(len(STYLES))
    ]
    assert len({tuple(s.kind for s in report.sentences) for report in reports}) > len(STYLES) // 2
    assert {any(s.kind == "heading" for s in report.sentences) for report in reports} == {True, False}


def test_growth_plates_are_normal_for_age_only_where_they_are():
    patient = Patient("child", 100, "male", 130.0, 0.0, 0.0)
    exam = Exam("hand", "left", ("pa",))
    for seed in range(100):
        report = write_report(patient, [exam], radiologist=seed, random=np.random.default_rng(seed))
        assert "for age" not in report.text_of(0)


@pytest.mark.parametrize(
    ("noun", "with_article"),
    [("oblique fracture", "an oblique fracture"), ("8-year-old", "an 8-year-old"), ("unusual day", "an unusual day"),
     ("uniform day", "a uniform day"), ("11-month-old", "an 11-month-old"), ("AP view", "an AP view")],
)  # fmt: skip
def test_articles_fit_the_next_word(noun, with_article):
    assert fill("a {noun}", noun=noun) == with_article


def test_an_unknown_placeholder_names_file_and_key(tmp_path):
    file = tmp_path / "phrases_c.yaml"
    file.write_text("findings:\n  fracture:\n    full: ['there is a {sevrity} fracture']\n")
    with pytest.raises(ValueError, match=r"phrases_c\.yaml: findings\.fracture\.full uses .*\{sevrity\}"):
        read_phrases(file)
    file.write_text("findings:\n  fracture:\n    ful: ['there is a fracture']\n")
    with pytest.raises(ValueError, match=r"nothing reads findings\.fracture\.ful"):
        read_phrases(file)


def test_an_unknown_wording_or_no_exam_is_refused():
    patient, exams = draw_study(1)
    with pytest.raises(ValueError, match='wording is "c"'):
        write_report(patient, exams, wording="c", radiologist=0, random=np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one exam"):
        write_report(patient, [], radiologist=0, random=np.random.default_rng(0))
