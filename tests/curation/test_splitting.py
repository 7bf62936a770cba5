"""Reports are cut into sentences and headings whose spans are the report itself."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pedclip.processing.curation.splitting import section_of, split

PIECES = st.sampled_from(
    "FINDINGS: |Findings:|IMPRESSION\n|HISTORY Fall.|1. |2) |- |• |LEFT KNEE:|Xray Hip\n|Dr. |e.g. |3.5 cm. |No. 5 |"
    "... |No fracture.|normal; |effusion |? |\n|\n\n|\r\n|\t| |(see above. |) |L. wrist |J. Doe |Technique - |"
    "**Comparison:** |é"
    "|\u2028|\x1c|;|:|.".split("|")
)


def sentences(report):
    return [sentence.text for sentence in split(report) if not sentence.heading]


def check(report):
    found = split(report)
    assert [sentence.number for sentence in found] == list(range(len(found)))
    covered = [0] * len(report)
    for sentence in found:
        assert report[sentence.start : sentence.end] == sentence.text
        assert sentence.text == sentence.text.strip() != ""
        for at in range(sentence.start, sentence.end):
            covered[at] += 1
    assert all(count == 1 for count, letter in zip(covered, report, strict=True) if not letter.isspace())
    assert [s.start for s in found] == sorted(s.start for s in found)


@settings(deadline=None, max_examples=120)
@given(st.lists(PIECES, max_size=25).map("".join))
@example("")
@example(" \n ")
@example("?")
@example("1.")
def test_every_letter_lies_in_exactly_one_piece(report):
    check(report)


@settings(deadline=None, max_examples=80)
@given(st.text(max_size=200))
def test_any_text_at_all_is_covered(report):
    check(report)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("No fracture. No effusion.", ["No fracture.", "No effusion."]),
        ("Seen by Dr. A. Smith. No fracture.", ["Seen by Dr. A. Smith.", "No fracture."]),
        ("Old, e.g. by a fall, i.e. a trip vs. blow. End.", ["Old, e.g. by a fall, i.e. a trip vs. blow.", "End."]),
        ("Displaced approx. 3.5 cm. Normal ulna.", ["Displaced approx. 3.5 cm.", "Normal ulna."]),
        ("Fracture of the 5th. No. 3 is intact.", ["Fracture of the 5th.", "No. 3 is intact."]),
        ("The L. wrist is normal. R. elbow too.", ["The L. wrist is normal.", "R. elbow too."]),
        ("Grade I. No slip.", ["Grade I.", "No slip."]),
        ("Seen at St. Mary on Jan. 9, 2020. Stable.", ["Seen at St. Mary on Jan. 9, 2020.", "Stable."]),
        ("Dated 03.04.2021. Unchanged.", ["Dated 03.04.2021.", "Unchanged."]),
        ("Well ... maybe a line. Clear.", ["Well ... maybe a line.", "Clear."]),
        ("? fracture of the radius", ["? fracture of the radius"]),
        ("Is it broken? No.", ["Is it broken?", "No."]),
        ("Lungs are clear.No effusion.", ["Lungs are clear.", "No effusion."]),
        ("no efusion. radius is normal.", ["no efusion.", "radius is normal."]),
        ("Left knee: normal; right knee: effusion.", ["Left knee: normal;", "right knee: effusion."]),
        ("Normal (see above. No change) today.", ["Normal (see above. No change) today."]),
        ("The ankle\nmortise is congruent.", ["The ankle mortise is congruent."]),
        ("Lungs clear\nNo effusion", ["Lungs clear", "No effusion"]),
        ("1. Torus fracture.\n2. Normal elbow.", ["Torus fracture.", "Normal elbow."]),
        ("a) Torus fracture. b) No.", ["Torus fracture.", "No."]),
        ("a) Torus fracture b) No effusion", ["Torus fracture", "No effusion"]),
        ("IMPRESSION:1.Knee effusion.2.Hip dysplasia.", ["Knee effusion.", "Hip dysplasia."]),
        ("It measures 3.5 x 2 cm.The knee is fine.", ["It measures 3.5 x 2 cm.", "The knee is fine."]),
        ("Impression:\ni. Effusion.\nii. Normal hip.", ["Effusion.", "Normal hip."]),
        ("( . left", ["( . left"]),
        ("- Lungs clear\n- No effusion", ["Lungs clear", "No effusion"]),
        ("IMPRESSION: 1. Clear lungs 2. Normal heart 3. No ribs", ["Clear lungs", "Normal heart", "No ribs"]),
        ("Risser stage 2. Slight tilt.", ["Risser stage 2.", "Slight tilt."]),
        ("LEFT KNEE: Effusion. No fracture.", ["Effusion.", "No fracture."]),
        ("Left knee: effusion. No fracture.", ["Left knee: effusion.", "No fracture."]),
        ("LUNGS: Clear.", ["LUNGS: Clear."]),
        ("LEFT KNEE: NO FRACTURE.", ["LEFT KNEE: NO FRACTURE."]),
        ("Xray Hip\nNormal.\nKNEES\nNormal too.", ["Normal.", "Normal too."]),
        ("Left knee There is an effusion.", ["There is an effusion."]),
        ("", []),
        ("\n \t\n", []),
    ],
)  # fmt: skip
def test_clinical_text_is_cut_at_its_sentences(report, expected):
    assert [" ".join(text.split()) for text in sentences(report)] == expected


def test_a_line_that_the_pages_edge_broke_is_one_sentence_and_a_new_line_is_not():
    report = (
        "There is a minimally displaced fracture of the distal radial metaphysis with\n"
        "Volkmann's sign on the lateral view and marked soft tissue swelling over the\n"
        "dorsum of the wrist.\n"
        "No carpal fracture.\n"
    )
    assert len(sentences(report)) == 2


@pytest.mark.parametrize(
    ("heading", "section"),
    [
        ("HISTORY:", "history"),
        ("Clinical Indication:", "history"),
        ("REASON FOR EXAM:", "history"),
        ("Indication/History:", "history"),
        ("COMPARISON", "comparison"),
        ("Technique -", "technique"),
        ("Findings:", "findings"),
        ("REPORT", "findings"),
        ("Impression(s):", "impression"),
        ("**CONCLUSION:**", "impression"),
        ("Opinion", "impression"),
        ("Signed by:", "later"),
        ("LEFT KNEE:", None),
    ],
)
def test_headings_open_their_sections(heading, section):
    assert section_of(heading) == section


def test_sections_are_told_by_headings_on_their_line_and_in_running_text():
    report = "HISTORY: Fall.\nTECHNIQUE\nTwo views.\nFINDINGS: Normal knee. Impression: Normal."
    told = {sentence.text: sentence.section for sentence in split(report) if not sentence.heading}
    assert told == {"Fall.": "history", "Two views.": "technique", "Normal knee.": "findings", "Normal.": "impression"}


def test_a_comparison_on_its_heading_s_line_ends_with_it_where_no_findings_heading_follows():
    told = {s.text: s.section for s in split("COMPARISON: None.\nThe heart is normal.\nIMPRESSION: Normal.")}
    assert told["None."] == "comparison"
    assert told["The heart is normal."] is None
    still = {s.text: s.section for s in split("HISTORY: Fall.\nPain.\nFINDINGS: Normal.")}
    assert still["Pain."] == "history"
