"""Measures what the check for identifiers finds and what it flags wrongly.

    python benchmarks/curation_deidentify.py --out benchmarks/results/curation_deidentify.json \
        --page docs/curation/deidentification.md

Identifiers are drawn and put into phantom reports, one a report, and looked for; the same reports without them, and
the captions of ../shared/data where they are there, count false alarms. The sentences around them and the formats are
ours, as the rules are: real reports have others, so real recall is lower. Some that the rules cannot know are among
them.
"""

import argparse
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from hardware import described

from pedclip.eval.marks import between_marks
from pedclip.processing.curation.deidentify import Found, check
from pedclip.processing.phantom.study import Clinic, studies_of

# Half of the names stand in processing/curation/names.yaml, half do not.
LISTED = (
    ("Emma", "Johnson"), ("Daniel", "Garcia"), ("Sophie", "Patel"), ("Liam", "Nguyen"), ("Fatima", "Khan"),
    ("Robert", "Wright"), ("Olivia", "Martinez"), ("Hannah", "Schmidt"), ("Oscar", "Silva"), ("Priya", "Gupta"),
    ("Ethan", "Murphy"), ("Isabella", "Rossi"),
)  # fmt: skip
UNLISTED = (
    ("Thandiwe", "Okonkwo"), ("Wren", "Abernathy"), ("Nguyet", "Pham"), ("Saoirse", "O'Malley"),
    ("Bjorn", "Lindqvist"), ("Xiomara", "Delgado"), ("Kwame", "Mensah"), ("Aoife", "Gallagher"),
    ("Zbigniew", "Wojcik"), ("Anouk", "Vandermeer"), ("Tevin", "Braithwaite"), ("Rukmini", "Iyer"),
    ("Élodie", "Østergaard"), ("Łukasz", "Ševčík"),
)  # fmt: skip
# class -> sentences; {} is what has to be found
NAMES = {
    "after a title": [
        "Discussed with Dr. {last}.",
        "Seen by Dr {last} in clinic.",
        "Mrs. {last} was informed.",
        "Prof {last} reviewed the films.",
        "dr {low} was informed by telephone.",
    ],
    "after a label": [
        "Patient: {first} {last}.",
        "Mother: {first} {last}.",
        "Patient name: {LAST}, {FIRST}.",
        "Radiologist: {F}. {last}.",
    ],
    "after what was done": [
        "Reported by {first} {last}.",
        "Dictated by: {F}. {last}.",
        "Electronically signed by {last}.",
    ],
    "before a degree": ["{first} {last}, MD.", "{F} {last} FRCR."],
    "full, in running text": ["{first} {last} fell from a tree.", "The films of {first} {last} are normal."],
    "given alone, in running text": [
        "{first} fell from a tree.",
        "We saw {first} again.",
        "{first}'s mother was present.",
    ],
    "family alone, in running text": ["The {last} family was informed.", "{last} was seen again."],
    "family first, in capitals": ["{LAST}, {FIRST}."],
    "in a text of capitals": [
        "DISCUSSED WITH {FIRST} {LAST}.",
        "PATIENT {FIRST} {LAST} FELL.",
        "DICTATED BY {FIRST} {LAST}.",
    ],
    "with other blanks": ["Seen by Dr.\n{last} today.", "Dr.\u00a0{last} was told.", "Patient:\t{first}  {last}."],
    "in small letters": ["the films of {low_first} {low} are normal."],
}
DATES = {
    "numbers, four-digit year": ["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%Y%m%d"],
    "numbers, two-digit year": ["%d/%m/%y", "%m/%d/%y", "%d.%m.%y"],
    "month in words": ["%d %B %Y", "%B %d, %Y", "%d-%b-%Y", "%b %d", "%d %b %y", "%B %Y", "%d. %B %Y", "%dth of %B"],
    "day and month": ["%d/%m", "%d.%m."],
    "other blanks": ["%B\n%d, %Y", "%d  %B %Y", "%B\u00a0%d"],
    "unusual": ["%d %m %y", "%d%m%y", "%d. %-m. %y", "the %dth"],
}
NUMBERS = {
    "record number": [
        "MRN {d8}.",
        "MRN: {d7}.",
        "Medical record number {d6}.",
        "Hospital no. {a1}{d6}.",
        "Patient ID {d5}.",
    ],
    "accession number": ["Accession {d7}.", "Accession number: CR-2023-{d6}.", "Acc. {a2}{d8}.", "Accession #{d8}."],
    "social security, NHS": ["SSN {d3}-{d2}-{d4}.", "NHS {d3} {d3} {d4}."],
    "long, without a label": ["{d8}.", "See {a2}{d7} too.", "{d4}-{d4}."],
    "short, without a label": ["{d5}.", "See {a1}{d4} too."],
}
PHONES = {
    "United States": ["({d3}) {d3}-{d4}", "{d3}-{d3}-{d4}", "{d3}.{d3}.{d4}"],
    "international": ["+44 20 {d4} {d4}", "+1 {d3} {d3} {d4}", "+49 30 {d7}"],
    "British": ["020 {d4} {d4}", "01{d3} {d6}", "07{d3} {d3} {d3}"],
    "extension, pager": ["ext. {d4}", "pager {d5}", "bleep {d4}"],
    "digits alone": ["{d3} {d4}", "{d5} {d5}"],
}
OTHERS = {
    "e-mail": ["{low}@hospital.org", "{low_first}.{low}@nhs.net"],
    "web": ["https://pacs.example.org/{d6}", "www.example.org/{low}"],
    "street": ["{n} Maple Street", "{n} Old Mill Road", "{n} {last} Avenue"],
    "ZIP code, postcode": ["IL {d5}", "SW1A 2AA", "PO Box {d4}"],
    "hospital": ["Springfield General Hospital", "St Mary's Hospital", "{last} Clinic"],
    "town alone": ["Springfield", "Upper Heyford"],
    "age over 89": ["92-year-old", "aged 94", "101 years old"],
}
CLINICAL = [
    "C5/6 disc space is narrowed.",
    "Wedging of T12 and L1.",
    "Salter-Harris II fracture of the 5th metatarsal.",
    "Colles fracture with 12 mm of shortening.",
    "Cobb angle 25 degrees, T5 to L2.",
    "AO 23r-M/3.1; 23u-E/7.",
    "Jones fracture.",
    "Osgood-Schlatter disease.",
    "Kirschner wires in place.",
    "Legg-Calve-Perthes disease, Catterall 3/4.",
    "Bone age by Greulich and Pyle is 8 years 6 months.",
    "Gartland type III supracondylar fracture.",
    "Graf type IIa hip.",
    "Lines of Harris in the distal tibia.",
    "Risser 4/5.",
    "Tanner-Whitehouse score 512.",
    "0.5 x 1.2 x 3.4 cm lesion.",
    "Monteggia fracture-dislocation.",
    "The 2nd to 4th metacarpals.",
    "Lateral view 3/4 of the lung field.",
    "L5-S1 level.",
    "Grade 3/6 murmur.",
    "AP and PA views, 2 of 3.",
    "Kerley B lines.",
    "Pott's disease.",
    "Ewing sarcoma of the femur.",
    "Risk of Paget disease.",
    "Shenton's line is intact.",
    "Segond fracture.",
    "Taylor spatial frame.",
    "Austin Moore prosthesis.",
    "10-year-old boy.",
    "89-year-old woman.",
    "1-2-3 rays.",
    "Thomas splint.",
    "Angle of 45-50 degrees.",
    "75 kV, 2.5 mAs.",
    "Blount disease, Langenskiold stage 4.",
    "Köhler disease.",
    "Freiberg infraction of the 2nd metatarsal head.",
    "Hilgenreiner line, alpha angle 62/55.",
    "Chamberlain line.",
    "Schmorl nodes at T8/9, T9/10 and T10/11.",
    "Mid May.",
]


def filled(template: str, draw: random.Random, name: tuple[str, str]) -> str:
    first, last = name
    values = {"first": first, "last": last, "FIRST": first.upper(), "LAST": last.upper(), "F": first[0]}
    values |= {"low": last.lower(), "low_first": first.lower(), "n": str(draw.randint(1, 420))}
    values |= {f"a{n}": "".join(draw.choice("ABCDEHKMPRX") for _ in range(n)) for n in (1, 2)}
    while "{d" in template:  # each number anew
        at = template.index("{d")
        count = int(template[at + 2])
        template = template[:at] + str(draw.randint(10 ** (count - 1), 10**count - 1)) + template[at + 4 :]
    return template.format(**values)


def planted(draw: random.Random) -> Iterator[tuple[str, str, list[tuple[int, int]]]]:
    """(class, sentence, spans that have to be found) for ever."""
    marks = {"first", "last", "FIRST", "LAST", "F", "low", "low_first"}
    while True:
        for where, pool in (("listed", LISTED), ("not listed", UNLISTED)):
            for kind, templates in NAMES.items():
                name = draw.choice(pool)
                template = draw.choice(templates)
                for mark in marks:  # what stands for the name keeps its place through private-use characters
                    template = template.replace("{" + mark + "}", "\ue000{" + mark + "}\ue001")
                yield f"name, {where}: {kind}", *unmarked(filled(template, draw, name))
        for kind, formats in DATES.items():
            day = date(2015, 1, 1) + timedelta(days=draw.randrange(3650))
            text = day.strftime(draw.choice(formats))
            frame = draw.choice(["Compared with the films of {}.", "Seen on {}.", "Dated {}."])
            yield f"date: {kind}", *unmarked(frame.format(f"\ue000{text}\ue001"))
        for kind, templates in NUMBERS.items():
            template = draw.choice(templates)
            name = draw.choice(LISTED)
            places = [template.index(one) for one in ("{a", "{d", "CR-") if one in template]
            at, end = min(places), template.rindex("}") + 1
            marked = template[:at] + "\ue000" + template[at:end] + "\ue001" + template[end:]
            yield f"number: {kind}", *unmarked(filled(marked, draw, name))
        for group, table in (("phone", PHONES), ("other", OTHERS)):
            for kind, templates in table.items():
                text = filled(draw.choice(templates), draw, draw.choice(LISTED))
                core = text
                for lead in ("ext. ", "pager ", "bleep ", "aged "):
                    core = core.removeprefix(lead)
                frame = draw.choice(["Contact: {}.", "{} noted.", "Result passed on, {}."])
                yield f"{group}: {kind}", *unmarked(frame.format(text.replace(core, f"\ue000{core}\ue001")))


def unmarked(text: str) -> tuple[str, list[tuple[int, int]]]:
    spans, plain = [], ""
    for piece in text.split("\ue000"):
        inside, mark, outside = piece.partition("\ue001")
        if mark:
            spans.append((len(plain), len(plain) + len(inside)))
        plain += inside + outside
    return plain, spans


def reports(count: int) -> Iterator[tuple[list[str], set[str]]]:
    """The sentences of a phantom report, and those that carry a date of their own."""
    number = 0
    while count:
        for study in studies_of(2026, number, Clinic(wording="ab"[number % 2])):
            sentences = study.report.sentences
            dated = {one.text for one in sentences if one.kind == "comparison" and any(map(str.isdigit, one.text))}
            yield [one.text for one in sentences], dated
            count -= 1
            if not count:
                return
        number += 1


def covered(span: tuple[int, int], text: str, found: list[Found]) -> tuple[bool, bool]:
    """Whether all letters and digits of the span are found, and whether any is."""
    places = [place for place in range(*span) if text[place].isalnum()]
    hit = [any(one.start <= place < one.end for one in found) for place in places]
    return all(hit), any(hit)


def measure(count: int, captions: Path) -> dict:
    draw = random.Random(0)
    tally: dict[str, Counter] = defaultdict(Counter)
    false_alarms: Counter = Counter()
    right = wrong = own_dates = own_found = clean_flagged = characters = 0
    seconds = 0.0
    source = planted(draw)
    for sentences, dated in reports(count):
        clean = " ".join(sentences)
        began = time.process_time()
        alarms = check(clean)
        seconds += time.process_time() - began
        characters += len(clean)
        own = [(at, at + len(one)) for one in dated if (at := clean.find(one)) >= 0]
        own_dates += len(own)
        inside = [one for one in alarms if any(start <= one.start < end for start, end in own)]
        own_found += len({(start, end) for start, end in own for one in inside if start <= one.start < end})
        false = [one for one in alarms if one not in inside]
        false_alarms.update(one.kind for one in false)
        clean_flagged += bool(false)

        kind, sentence, spans = next(source)
        before = draw.randrange(len(sentences) + 1)
        head = "".join(one + " " for one in sentences[:before])
        text = head + sentence + "".join(" " + one for one in sentences[before:])
        spans = [(start + len(head), end + len(head)) for start, end in spans]
        found = check(text)
        for span in spans:
            whole, some = covered(span, text, found)
            tally[kind].update(n=1, whole=whole, some=some)
        place = (len(head), len(head) + len(sentence))
        for one in found:
            if any(one.start < end and start < one.end for start, end in spans):
                right += 1
            elif place[0] <= one.start < place[1]:
                wrong += 1
    clinical = {text: [one.kind for one in check(text)] for text in CLINICAL}
    classes = {
        kind: {"planted": one["n"], "found": one["whole"], "in_part": one["some"] - one["whole"]}
        for kind, one in sorted(tally.items())
    }
    groups: dict[str, Counter] = defaultdict(Counter)
    for kind, one in classes.items():
        groups[kind.partition(":")[0]].update(one)
    result = {
        "planted": {
            "reports": count,
            "classes": classes,
            "groups": {name: dict(one) for name, one in groups.items()},
            "precision_in_planted_sentences": round(right / (right + wrong), 4),
        },
        "clean_phantom": {
            "reports": count,
            "with_a_false_alarm": clean_flagged,
            "false_alarms": dict(false_alarms),
            "own_dates": own_dates,
            "own_dates_found": own_found,
        },
        "clinical_phrases": {
            "phrases": len(CLINICAL),
            "flagged": {text: kinds for text, kinds in clinical.items() if kinds},
        },
        "reports_a_second": round(count / seconds),
        "characters_a_report": round(characters / count),
    }
    if captions.is_file():
        texts = [json.loads(line)["text"] for line in captions.read_text(encoding="utf-8").splitlines()]
        halves = {"read_while_the_rules_were_made": texts[::2], "held_out": texts[1::2]}
        result["captions"] = {
            name: {
                "captions": len(half),
                "flagged": sum(bool(check(text)) for text in half),
                "found": dict(Counter(one.kind for text in half for one in check(text))),
            }
            for name, half in halves.items()
        }
    return result


def with_figures(page: str, result: dict) -> str:
    """The page with the figures between its marks."""
    lines = ["| planted | n | found in whole | missed |", "|---|---|---|---|"]
    for kind, one in result["planted"]["classes"].items():
        missed = one["planted"] - one["found"]
        part = f", {one['in_part']} of them in part" if one["in_part"] else ""
        share = one["found"] / one["planted"]
        lines.append(f"| {kind} | {one['planted']} | {one['found']} ({share:.0%}) | {missed}{part} |")
    clean, phrases = result["clean_phantom"], result["clinical_phrases"]
    flagged = ", ".join(f'"{text.rstrip(".")}"' for text in phrases["flagged"]) or "none"
    lines += [
        "",
        f"Of what was flagged in the planted sentences {result['planted']['precision_in_planted_sentences']:.1%} "
        f"was planted. In the same {clean['reports']:,} reports without planted identifiers: "
        f"{clean['with_a_false_alarm']} with a false alarm, and {clean['own_dates_found']} of the "
        f"{clean['own_dates']} dates that their comparisons have are found. Of {phrases['phrases']} clinical phrases "
        "(levels, grades, measurements, classifications, signs by their people) flagged: "
        f"{flagged}. {result['reports_a_second']:,} reports of {result['characters_a_report']} characters a second on "
        "one core.",
    ]
    if captions := result.get("captions"):
        held_out = captions["held_out"]
        found = ", ".join(f"{name} {count}" for name, count in sorted(held_out["found"].items()))
        lines += [
            "",
            f"In {held_out['captions']} captions of published radiographs that were not looked at while the rules "
            f"were made, {held_out['flagged']} are flagged: {found}.",
        ]
    return between_marks(page, "figures", "benchmarks/curation_deidentify.py", "\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--reports", type=int, default=4000)
    parser.add_argument(
        "--captions", type=Path, default=Path("../shared/data/reports/roco_xray_captions_ccby.jsonl"), metavar="FILE"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="page of the documentation to bring up to date")
    args = parser.parse_args()
    result = {
        "what": "check for identifiers on planted ones and on clean text",
        **measure(args.reports, args.captions),
    }
    result["hardware"] = described()
    new = args.out.with_name(args.out.name + ".new")
    new.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(args.out)
    if args.page is not None:
        args.page.write_text(with_figures(args.page.read_text(encoding="utf-8"), result), encoding="utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
