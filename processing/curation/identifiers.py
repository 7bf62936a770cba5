"""The patterns of deidentify.py: what dates, numbers, addresses and announced names look like. Ours.

Where a pattern has a group called `it`, that is what is found, and the rest is what gives it away.
"""

import re
from typing import Literal

Kind = Literal["name", "date", "phone", "number", "email", "web", "address", "place", "age"]

APOSTROPHES = r"'\u2019"
APOSTROPHE = rf"[{APOSTROPHES}]"
APART = r"(?<![\w./-])"  # no longer number, level or fraction before
ENDS = r"(?![\w/-]|\.\d)"  # nor after

DAY = r"(?:0?[1-9]|[12]\d|3[01])"
NTH = r"(?:st|nd|rd|th|\.)"
MONTH_NUMBER = r"(?:0?[1-9]|1[0-2])"
YEAR = r"(?:19|20)\d\d"
LONG_MONTHS = "January February March April May June July August September October November December".split()
SHORT_MONTHS = "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec".split()
# may and march are words, so they need their capital
MONTHS = [*LONG_MONTHS, *SHORT_MONTHS, *(month.lower() for month in LONG_MONTHS if month not in ("March", "May"))]
MONTH = rf"(?:{'|'.join([*MONTHS, *(month.upper() for month in LONG_MONTHS + SHORT_MONTHS)])})\b\.?"

# letters of the languages that are written in Latin ones: Dubois, \u00c9lodie, \u0141ukasz
LATIN = [chr(code) for code in range(0x180) if chr(code).isalpha()]
CAPITAL = f"[{''.join(letter for letter in LATIN if letter.isupper())}]"
SMALL = f"[{''.join(letter for letter in LATIN if letter.islower())}]+"
TITLE_CASE = rf"(?:(?:Mc|Mac|{CAPITAL}{APOSTROPHE})?{CAPITAL}{SMALL}(?:[{APOSTROPHES}-]{CAPITAL}?{SMALL})*)"
UPPER_CASE = rf"(?:{CAPITAL}{{2,}}(?:[{APOSTROPHES}-]{CAPITAL}+)*)"
SMALL_NAME = rf"(?=[\w{APOSTROPHES}-]{{3}}){SMALL}(?:[{APOSTROPHES}-]{SMALL})*"
PARTICLES = r"(?:van |von |der |de |da |del |bin |al-|el-)*"
DEGREE = r"(?:MD|M\.D\.|DO|D\.O\.|MBBS|MBChB|FRCR|FRCS|FRCPC|FRANZCR|PhD|RN|PA-C)\b"
TITLE = r"(?:Drs?|Doctor|Prof(?:essor)?|Mr|Mrs|Ms|Miss|Mx|DRS?|PROF|MR|MRS|MS|MISS)\b\.?"
NAME_WORD = rf"(?:{TITLE_CASE}|{UPPER_CASE})"
NAME = (
    rf"(?:(?:{CAPITAL}\.? ){{0,2}}{PARTICLES}{NAME_WORD}"
    rf"(?:,? (?!{DEGREE}|{TITLE})(?:{CAPITAL}\b\.? )?{PARTICLES}{NAME_WORD}){{0,2}})"
)
ROLE = (
    r"(?i:patient|pt|name|surname|forename|mother|father|guardian|referrer|radiologist|physician|attending|consultant|"
    r"clinician)"
)
DONE_BY = (
    r"(?i:reported|dictated|signed|verified|approved|reviewed|read|interpreted|transcribed|authori[sz]ed|referred|"
    r"requested|discussed|communicated|phoned)"
)
NUMBER_WORD = r"(?: ?(?:number|no\b\.?|#))"
LABEL = (
    rf"(?i:mrn|ssn|mr ?#|medical record{NUMBER_WORD}?|"
    rf"(?:record|hospital|patient|case|order|exam|visit|serial){NUMBER_WORD}|"
    rf"nhs{NUMBER_WORD}?|accession{NUMBER_WORD}?|(?:patient )?id|acc\.?|account|acct\.?|episode|passport|licen[cs]e)"
)
CALLED_BY = r"(?i:tel|telephone|phone|ph|fax|pager|bleep|beeper|ext|extension|mobile|cell)"
STREET = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Close|Terrace|Square|"
    r"Crescent|Highway|Hwy|Parkway)\b\.?"
)
PLACE = r"(?:Hospital|Clinic|Medical Cent(?:er|re)|Infirmary|Health Cent(?:er|re)|Hospice|School|University|Surgery)"
OLD = r"(?:9\d|1[01]\d)"

# What a text must hold for a rule to have a chance: most hold little of it, and a long pattern takes its time.
GATES = {
    name: re.compile(pattern)
    for name, pattern in {
        "@": "@",
        "www": r"www\.|://",
        "points": r"\d\.\d+\.\d",
        "joined": r"\d[-/. ]\d",
        "digits": r"\d[ .()-]{0,2}\d\D?\d|\d[A-Z]{2}\b|\d+,? [A-Z][a-z]",
        "month": rf"{MONTH}",
        "place": rf"\b{PLACE}\b",
        "old": rf"\b{OLD}\b",
        "title": rf"\b{TITLE} ",
        "dr": r"\bdr\b",
        "degree": rf"\b{DEGREE}",
        "done": rf"\b(?:by|to|with|from)(?: the)?:? {CAPITAL}",
        "signed": rf"\bBY:? {CAPITAL}",
        "family": r" family\b",
        "role": rf"\b{ROLE}\b",
    }.items()
}

# In order: where two overlap, the first one's kind is taken.
PATTERNS: tuple[tuple[Kind, str, str], ...] = (
    ("email", "@", r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    ("web", "www", r"\b(?:https?://|www\.)[^\s<>]+"),
    ("web", "points", r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"),
    ("number", "points", r"(?<![\w.])[0-2](?:\.\d+){5,}"),  # a DICOM UID
    ("date", "joined", rf"{APART}{YEAR}([-/.]){MONTH_NUMBER}\1{DAY}(?:T[\d:.]+Z?)?{ENDS}"),
    ("date", "digits", rf"{APART}{YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]){ENDS}"),
    ("date", "joined", rf"{APART}{DAY}([-/. ]){MONTH_NUMBER}\1{YEAR}{ENDS}"),
    ("date", "joined", rf"{APART}{MONTH_NUMBER}([-/. ]){DAY}\1{YEAR}{ENDS}"),
    ("date", "joined", rf"{APART}(?:{DAY}/{MONTH_NUMBER}|{MONTH_NUMBER}/{DAY})/\d\d{ENDS}"),
    ("date", "digits", rf"{APART}{DAY}([-.])(?:0[1-9]|1[0-2])\1\d\d{ENDS}"),
    ("date", "digits", rf"{APART}(?:0[1-9]|1[0-2])([-.]){DAY}\1\d\d{ENDS}"),
    ("date", "joined", rf"{APART}{MONTH_NUMBER}[-/]{YEAR}{ENDS}"),
    ("date", "joined", rf"\b(?i:dated|on|since|dob|d\.o\.b\.?|born)\b:? (?P<it>{DAY}[/.]{DAY}){ENDS}"),
    ("date", "month", rf"\b{DAY}{NTH}?(?: of)?[ -]?{MONTH}(?:,?[ -]?(?:{YEAR}|{APOSTROPHE}?\d\d\b))?(?!\w)"),
    ("date", "month", rf"\b{MONTH} ?{DAY}{NTH}?\b(?:,? {YEAR}\b)?"),
    ("date", "month", rf"\b{MONTH}(?: of)?,?[ -]{YEAR}\b"),
    ("phone", "digits", r"(?<![\w.])\+\d{1,3}[ .()-]{0,2}\d(?:[ .()-]{0,2}\d){6,12}\b"),
    ("phone", "digits", r"(?<![\w.])(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}\b"),
    ("phone", "digits", r"(?<![\w.])\(?0\d{2,4}\)?[ -]\d{3,4}[ -]?\d{3,4}\b"),
    ("phone", "digits", r"(?<![\w.,/-])\d{3,5} \d{4,6}(?![\w/-]|[.,]\d)"),
    ("phone", "digits", rf"\b{CALLED_BY}\b\.?:?{NUMBER_WORD}?:? ?(?:is )?(?P<it>\+?\d[\d ().-]{{1,16}}\d)\b"),
    ("number", "digits", rf"\b{LABEL}(?:is | |[:#=])*(?P<it>(?=[\w/-]*\d)[A-Za-z]{{0,4}}[-/]?\d[\w/-]{{2,}})\b"),
    ("number", "digits", r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])"),  # US social security
    ("number", "digits", r"(?<![\w.-])\d{3} \d{3} \d{4}(?![\w-])"),  # British NHS
    ("number", "digits", r"#\d{4,}\b"),
    ("number", "digits", r"(?<![\w.,-])(?=(?:[A-Z/-]*\d){6})[A-Z]{0,5}(?:[-/]?\d+[A-Z]?)+(?![\w%]|[.,]\d)"),
    ("address", "digits", rf"\b\d{{1,5}}[A-Za-z]?,? {TITLE_CASE}(?: {TITLE_CASE}){{0,2}} {STREET}"),
    ("address", "digits", r"\b(?i:p\.? ?o\.? box) \d+\b"),
    ("address", "digits", r"\b(?!AO )[A-Z]{2},? \d{5}(?:-\d{4})?\b"),  # a US state and its ZIP code
    ("address", "digits", r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b"),  # a British postcode
    ("place", "place", rf"\b(?:St\.? )?{TITLE_CASE}(?: (?:{TITLE_CASE}|of|and)){{0,4}} {PLACE}\b"),
    ("age", "old", rf"\b{OLD}(?:[ -](?:years?|yrs?)[ -]old|[ -]?y(?:/o|o)\b|[ -](?:years?|yrs?) of age)"),
    ("age", "old", rf"\b(?i:aged?):? (?P<it>{OLD})\b(?! ?(?:days?|weeks?|months?|hours?|\u00b0|%))"),
    ("name", "title", rf"\b{TITLE} (?!{DEGREE})(?P<it>{NAME})"),
    ("name", "dr", rf"\bdr\.? (?!(?:to|from|and|or|the)\b)(?P<it>{SMALL_NAME})"),
    ("name", "degree", rf"\b(?P<it>{NAME}),? {DEGREE}"),
    ("name", "done", rf"\b{DONE_BY} (?:by|to|with|from)(?: the)?:? (?!{TITLE})(?P<it>{NAME})"),
    ("name", "signed", rf"\b(?:DICTATED|SIGNED|VERIFIED|APPROVED|TRANSCRIBED) BY:? (?!{TITLE})(?P<it>{NAME})"),
    ("name", "family", rf"\b[Tt]he (?P<it>{TITLE_CASE}) family\b"),
    ("name", "role", rf"\b{ROLE}(?:{APOSTROPHE}s)?(?: name)?(?: is| was|:| =)+ (?!{TITLE})(?P<it>{NAME})"),
)  # fmt: skip
RULES = tuple((kind, gate, re.compile(pattern)) for kind, gate, pattern in PATTERNS)

TITLE_CASE_RUN = re.compile(rf"{TITLE_CASE}(?: (?:{CAPITAL}\. )?{TITLE_CASE})*")
LAST_FIRST = re.compile(rf"\b({NAME_WORD}), ({NAME_WORD})(?!\w)")
CAPITALS = re.compile(rf"\b{UPPER_CASE}(?!\w)")
AND_FAMILY = re.compile(rf"(?: {CAPITAL}\b\.?)? ({NAME_WORD})(?!\w)")
DONE_IN_CAPITALS = re.compile(rf"\b{DONE_BY} (?:BY|TO|WITH|FROM):? ({UPPER_CASE})(?!\w)")
# after a given name these make it a sign, a device or a method
NOT_A_PERSON = re.compile(
    rf"(?:{APOSTROPHE}s?)? (?:[a-z-]+ )?(?:sign|lines?|fracture|disease|syndrome|method|view|nail|plate|screw|wires?|"
    r"pins?|angle|classification|grade|type|stage|index|score|deformity|lesion|tumou?r|sarcoma|technique|projection|"
    r"osteotomy|procedure|operation|prosthesis|nodes?|cyst|cast|splint|frame|tube|catheter)\b",
    re.IGNORECASE,
)
