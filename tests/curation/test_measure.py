"""Counting against the truth, by cases worked out by hand; and what a labelled file must hold."""

import json
from collections import Counter

import pytest

from pedclip.eval.curation import summarise, table
from pedclip.processing.curation.labelled import LabelledStudy, labelled_study, read_labelled
from pedclip.processing.curation.measure import compare
from pedclip.processing.curation.schema import Assignment, Sentence, Spent

HISTORY, KNEE, HIP, BOTH = (
    "Fell from a tree.",
    "The knee is broken.",
    "The hip is normal.",
    "No effusion in knee or hip.",
)


def row(**changes) -> dict:
    """A study of two parts; 0 is the left knee, 1 the hip."""
    sentences = [(HISTORY, [], "history"), (KNEE, [0], "finding"), (HIP, [1], "normal"), (BOTH, [0, 1], "negation")]
    return {
        "study_id": "s1",
        "patient_id": "p1",
        "report": " ".join(text for text, _, _ in sentences),
        "exams": [{"body_part": "knee", "laterality": "left"}, {"body_part": "hip", "laterality": None}],
        "sentences": [{"text": text, "exams": exams, "kind": kind} for text, exams, kind in sentences],
        **changes,
    }


def split_at(labelled: LabelledStudy, *pieces: str) -> list[Sentence]:
    """The report as an engine may have split it."""
    sentences, after = [], 0
    for number, piece in enumerate(pieces):
        start = labelled.study.report.index(piece, after)
        after = start + len(piece)
        sentences.append(Sentence(number, start, after, piece))
    return sentences


def said(knee=(), hip=(), **dropped) -> Assignment:
    """`said((1,), (2,), history=(0,))`"""
    reasons = {number: reason for reason, numbers in dropped.items() for number in numbers}
    return Assignment({"left knee": tuple(knee), "hip": tuple(hip)}, reasons)


@pytest.fixture
def labelled() -> LabelledStudy:
    return labelled_study(row())


def test_all_right_has_nothing_extra_or_missed(labelled):
    counts = compare(labelled, split_at(labelled, HISTORY, KNEE, HIP, BOTH), said((1, 3), (2, 3), history=[0]))
    assert counts.right == Counter({"knee": 2, "hip": 2})
    assert counts.extra.total() == counts.missed.total() == counts.leaked.total() == 0
    assert counts.context == Counter({"history": 1}) and (counts.sentences, counts.speaking, counts.same_ends) == (
        4,
        3,
        4,
    )
    assert (counts.omitted, counts.duplicated, counts.unassigned, counts.kept) == (0, 0, 0, 3)


def test_each_kind_of_error_is_counted_where_it_belongs(labelled):
    """History under the knee, the knee's sentence under the hip too, the hip's left over, the last under one."""
    counts = compare(labelled, split_at(labelled, HISTORY, KNEE, HIP, BOTH), said((0, 1), (1, 3), unassigned=[2]))
    assert counts.right == Counter({"knee": 1, "hip": 1}) and counts.extra == Counter({"knee": 1, "hip": 1})
    assert counts.missed == Counter({"knee": 1, "hip": 1})
    assert counts.leaked == Counter({"history": 1})
    assert (counts.omitted, counts.duplicated, counts.unassigned) == (1, 1, 1)


def test_a_sentence_cut_in_two_counts_once_and_only_if_half_of_its_letters_are_there(labelled):
    pieces = split_at(labelled, HISTORY, "The knee", "is broken.", HIP, BOTH)  # 7 letters and 8 of 15
    both = compare(labelled, pieces, said((1, 2, 4), (3, 4), history=[0]))
    assert both.right == Counter({"knee": 2, "hip": 2}) and both.extra.total() == both.missed.total() == 0
    assert both.same_ends == 3
    larger = compare(labelled, pieces, said((2, 4), (3, 4), history=[0], unassigned=[1]))
    assert larger.right == Counter({"knee": 2, "hip": 2}) and larger.unassigned == 0
    smaller = compare(labelled, pieces, said((1, 4), (3, 4), history=[0], unassigned=[2]))
    assert smaller.right == Counter({"knee": 1, "hip": 2}) and smaller.missed == Counter({"knee": 1})
    assert smaller.omitted == 1 and smaller.unassigned == 1


def test_two_sentences_left_together_are_judged_one_by_one(labelled):
    pieces = split_at(labelled, f"{HISTORY} {KNEE}", HIP, BOTH)
    counts = compare(labelled, pieces, said((0, 2), (1, 2)))
    assert counts.right == Counter({"knee": 2, "hip": 2}) and counts.extra == Counter({"knee": 1})
    assert counts.leaked == Counter({"history": 1}) and counts.same_ends == 2


def test_marks_and_numbers_before_a_sentence_do_not_change_its_ends():
    report = f"1) {KNEE[:-1]}\n2) {HIP}"
    sentences = [{"text": KNEE[:-1], "exams": [0], "kind": "finding"}, {"text": HIP, "exams": [1], "kind": "normal"}]
    labelled = labelled_study(row(report=report, sentences=sentences))
    counts = compare(labelled, split_at(labelled, KNEE[:-1], HIP[:-1]), said((0,), (1,)))
    assert counts.same_ends == 2


def test_what_no_label_covers_is_said(labelled):
    part = LabelledStudy(labelled.study, labelled.sentences[1:3])  # history and the last sentence have no label
    sentences = split_at(labelled, HISTORY, KNEE, HIP, BOTH)
    said = Assignment({"left knee": (0, 1), "hip": (2,)}, {3: "unassigned"})
    counts = compare(part, sentences, said)
    assert (counts.unlabelled, counts.unlabelled_kept) == (2, 1)
    assert compare(labelled, sentences, said).unlabelled == 0
    result = summarise([counts], resamples=10)
    assert result["unlabelled"] == {"sentences": 2, "under a part": 1}
    assert "2 sentences of the engine have no label, 1 of them" in table(result)


def test_a_heading_under_a_part_is_extra_and_no_leak():
    sentences = [{"text": "KNEE:", "exams": [], "kind": "heading"}, {"text": KNEE, "exams": [0], "kind": "finding"}]
    labelled = labelled_study(row(report=f"KNEE: {KNEE}", sentences=sentences))
    counts = compare(labelled, split_at(labelled, "KNEE:", KNEE), said((0, 1)))
    assert counts.extra == Counter({"knee": 1}) and counts.right == Counter({"knee": 1})
    assert counts.leaked.total() == counts.context.total() == 0 and counts.sentences == 1


def test_an_engine_that_says_nothing_omits_everything(labelled):
    counts = compare(labelled, [], said())
    assert counts.missed == Counter({"knee": 2, "hip": 2}) and counts.omitted == 3 and counts.unassigned == 0


def test_what_a_model_spent_is_carried_along(labelled):
    nothing = {"left knee": (), "hip": ()}
    assignment = Assignment(nothing, {0: "irrelevant"}, spent=Spent(answers=3, invalid=1, ungrounded=2))
    counts = compare(labelled, split_at(labelled, labelled.study.report), assignment, fallback=True)
    assert (counts.answers, counts.invalid, counts.ungrounded, counts.fallback) == (3, 1, 2, True)


def test_measures_are_ratios_of_sums_with_intervals_over_patients(labelled):
    pieces = split_at(labelled, HISTORY, KNEE, HIP, BOTH)
    good = said((1, 3), (2, 3), history=[0])
    bad = said((0, 1), (1, 3), unassigned=[2])
    counts = []
    for patient in range(20):
        one = compare(labelled, pieces, bad if patient % 4 == 0 else good)
        one.patient_id = f"p{patient}"
        counts.append(one)
    result = summarise(counts, resamples=200)
    right, extra, missed = 15 * 4 + 5 * 2, 5 * 2, 5 * 2
    measures = result["measures"]
    assert measures["precision"]["value"] == pytest.approx(right / (right + extra))
    assert measures["recall"]["value"] == pytest.approx(right / (right + missed))
    assert measures["f1"]["value"] == pytest.approx(2 * right / (2 * right + extra + missed))
    assert measures["history_leak"]["value"] == pytest.approx(5 / 20)
    assert measures["omission"]["value"] == measures["duplication"]["value"] == pytest.approx(5 / 60)
    assert measures["unassigned"]["value"] == pytest.approx(5 / 80)
    assert measures["f1"]["low"] < measures["f1"]["value"] < measures["f1"]["high"] <= 1
    assert measures["schema_failures"] == {"value": None, "low": None, "high": None, "count": 0, "of": 0}
    # nothing ungrounded in 20 patients: the interval is not empty
    assert measures["ungrounded"]["value"] == 0 and 0.1 < measures["ungrounded"]["high"] < 0.2
    assert result["by_part"]["knee"]["precision"]["value"] == pytest.approx((15 * 2 + 5) / (15 * 2 + 5 * 2))
    assert result["leak_by_kind"]["technique"]["value"] is None
    text = table(json.loads(json.dumps(result)))
    assert "20 studies, 20 patients, 80 sentences" in text and "none to count" in text and "hip" in text


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"report": f"{HISTORY} {HIP}"}, "sentence 1 does not stand in the report"),
        ({"exams": [{"body_part": "left arm", "laterality": None}]}, "body_part is 'left arm'"),
        ({"exams": [{"body_part": "knee", "laterality": "left"}]}, "sentence 2 names an exam"),
        ({"exams": [{"body_part": "hip", "laterality": None}] * 2}, "the same name"),
        ({"sentences": [{"text": HISTORY, "exams": [0], "kind": "history"}]}, "of the kind 'history' and speaks of 1"),
        ({"sentences": [{"text": HISTORY, "exams": [], "kind": "finding"}]}, "of the kind 'finding' and speaks of 0"),
        ({"sentences": [{"text": "Nothing."}]}, "sentence 0 does not stand"),
        ({"report": None}, "each line is a study"),
        ({"report": 5}, "report is a int; each line is a study, whose report is text"),
        ({"exams": [{"body_part": HISTORY, "laterality": None}]}, r"body_part is 1 that may hold text of a report"),
    ],
)
def test_a_file_that_is_no_truth_is_refused_by_line_and_without_its_text(tmp_path, changes, why):
    path = tmp_path / "studies.jsonl"
    path.write_text(json.dumps(row()) + "\n" + json.dumps(row(**changes)) + "\n")
    with pytest.raises(ValueError, match=why) as caught:
        list(read_labelled(path))
    assert "line 2" in str(caught.value)
    assert KNEE not in str(caught.value) and HISTORY not in str(caught.value)


def test_the_same_words_twice_are_two_places_and_stated_places_are_used():
    one = {"text": KNEE, "exams": [0], "kind": "finding"}
    twice = labelled_study(row(report=f"{KNEE} {KNEE}", sentences=[one, one]))
    assert [(found.start, found.end) for found in twice.sentences] == [(0, 19), (20, 39)]
    second = labelled_study(row(report=f"{KNEE} {KNEE}", sentences=[{**one, "start": 20, "end": 39}]))
    assert second.sentences[0].start == 20


def test_every_phantom_study_is_a_labelled_study():
    from pedclip.processing.phantom.rows import study_row
    from pedclip.processing.phantom.study import Clinic, studies_of

    clinic = Clinic(exams=(0.2, 0.4, 0.4))
    for number in range(40):
        for study in studies_of(1, number, clinic):
            labelled = labelled_study(json.loads(json.dumps(study_row(study))))
            assert [part.name for part in labelled.study.parts] == [exam.name for exam in study.exams]
            for true, sentence in zip(labelled.sentences, study.report.sentences, strict=True):
                assert study.report.text[true.start : true.end] == sentence.text
                assert true.parts == {study.exams[exam].name for exam in sentence.exams}
            perfect = Assignment(
                {
                    part.name: tuple(n for n, one in enumerate(labelled.sentences) if part.name in one.parts)
                    for part in labelled.study.parts
                },
                {n: "irrelevant" for n, one in enumerate(labelled.sentences) if not one.parts},
            )
            own = [
                Sentence(n, one.start, one.end, study.report.text[one.start : one.end])
                for n, one in enumerate(labelled.sentences)
            ]
            counts = compare(labelled, own, perfect)
            assert counts.right.total() and not counts.extra.total() and not counts.missed.total()
