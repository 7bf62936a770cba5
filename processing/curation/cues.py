"""Words by which a sentence shows that it speaks of no film: history, comparison, technique, or nothing of the child."""

import re

from .schema import Reason


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


# What a film shows. A sentence with such a word is no technique and no plain comparison.
SHOWS = _any(
    r"\b(?:show|demonstrat|reveal|depict|display|disclos|confirm|exclud)\w*",
    r"\b(?:normal(?:ly)?|unremarkable|intact|preserved|maintained|clear|congruent|symmetric\w*|abnormal\w*|unchanged|stable)\b",
    r"\b(?:fractur|dislocat|sublux|effusion|lesion|swelling|erosion|opaci|consolidat|pneumothora|lucen|scler|deform|angulat|"
    r"displac|callus|heal|hardware|periost|osteopeni|narrow|widen|thicken|enlarg|alignment|aligned|hyperinfl|atelecta|"
    r"curvature|scolio|kypho|foreign bod)\w*",
    r"\bno (?:evidence|acute|significant|focal|definite|obvious|bony|other|radiographic)\b",
    r"\b(?:interval|progress|improve|worsen|resol|increas|decreas|redemonstrat)\w*",
)
PATHOLOGY = _any(
    r"\b(?:fractur|dislocat|sublux|effusion|lesion|swelling|erosion|opacit|opacif|consolidat|pneumothora|lucen|angulat|"
    r"displac|callus|normal|unremarkable|intact|scolio|dysplas|cyst|deform|pneumoni|obstruct)\w*"
)

IRRELEVANT = _any(
    r"\b(?:electronically|digitally) (?:signed|verified|approved|authenticated)",
    r"\b(?:dictated|transcribed|typed|signed|verified|authori[sz]ed|approved|finali[sz]ed) (?:by|at|on|and|electronically|report)\b",
    r"\b(?:report|study|film|image|examination|radiograph|x-?ray)s? (?:was |were |has been |have been )?(?:dictated|signed|"
    r"reported|reviewed|read|interpreted|verified|checked|typed|issued) (?:by|at|on|with)\b",
    r"^(?:reported|reviewed|read|interpreted|checked|signed|prepared|dictated) (?:by|at|on|with)\b",
    r"^(?:report|dictation) (?:dictated|by|ends)|\bend of (?:the )?(?:report|dictation)",
    r"\b(?:discussed|communicated|relayed|conveyed|called|telephoned|phoned|paged|d/w|notified|informed|alerted|reported)\b"
    r"(?=.*\b(?:dr|doctor|phone|telephone|team|nurse|clinic|clinician|physician|parent|parents|mother|father|ed|er|emergency|"
    r"department|ward|surgeon|registrar|resident|service|at \d|by)\b)",
    r"\b(?:telephone|phone) (?:call|conversation|report)|\bby (?:tele)?phone\b|\bverbal(?:ly)? (?:report|commun|result|inform)",
    r"\bcritical (?:result|finding)s? (?:was|were|called|comm|notif)|\bread[- ]?back\b",
    r"\b(?:i|we),? (?:have |has )?(?:the )?(?:personally|attending)|\bi (?:have )?(?:reviewed|agree|concur|supervised|attest)\b",
    r"\bagree with the (?:above|findings|interpretation|report|resident)|\bteaching physician\b|\battending\b.*\b(?:review|agree)",
    r"\bthank(?:s| you)\b|\bkind regards\b|\byours (?:sincerely|faithfully)\b|\bplease (?:do not hesitate|contact|call|note that)",
    r"\bvoice recognition|\bspeech recognition|\btranscription error|\btypographical|\bdisclaimer\b|\bthis report (?:was|is|has)\b",
    r"\b(?:clinical|clinically) correlat|\bcorrelat\w+ (?:clinically|with (?:clinical|exam|history|the clinical|physical|site|point))|"
    r"\bcorrelation (?:is |with )?(?:clinical|recommend|advis|suggest|need)",
    r"\b(?:study|examination|exam|evaluation|film|image|view|assessment|interpretation|radiograph|quality)s?\b.{0,40}\b(?:limited|degraded|"
    r"suboptimal|non-?diagnostic|compromised|hampered) (?:by|due|owing|because|secondary)",
    r"\b(?:image|film|technical|diagnostic|study) quality\b|\b(?:motion|patient motion|movement) (?:artefact|artifact|blur)|"
    r"\b(?:adequate|acceptable|satisfactory|good|suboptimal) (?:image |film |technical |diagnostic )?(?:quality|exposure|positioning)",
    r"^(?:technically )?(?:limited|suboptimal|adequate|inadequate|satisfactory) (?:study|examination|exam|film|view|quality)s?\.?$",
    r"\b(?:parent|mother|father|caregiver|guardian|play specialist|nurse)s? (?:was|were|stayed|held|remained|accompanied|present|"
    r"refused|consented|declined)",
    r"\b(?:lead|gonad\w*) (?:shield|apron|protection)|\bshielding\b|\bpregnan\w+ (?:test|status)|\bconsent\b|\bchaperon",
    r"\bchild protection (?:team|service)|\bsafeguarding\b|\bsocial (?:work|service)|\bimages? (?:are|were|was|is) (?:archived|stored|sent)|"
    r"\b(?:pacs|accession|mrn|medical record number)\b|\bpage \d+ of \d+",
)
RECOMMENDS = _any(
    r"\b(?:recommend|advis|advocat)\w*",
    r"\b(?:is|are|would be|may be|can be) (?:suggested|considered|helpful|useful|warranted|indicated|required|needed|appropriate|"
    r"beneficial|of value|obtained|performed)\b",
    r"\b(?:suggest|consider|advise|propose|request|obtain|arrange|repeat)\b.{0,40}\b(?:mri|mr|ct|ultrasound|us|sonograph\w*|scan|"
    r"radiograph\w*|x-?rays?|films?|views?|imaging|follow|referral|review|correlation|opinion|examination|exam|consultation|study)\b",
    r"\b(?:follow[- ]?up|repeat|further|additional|dedicated|delayed) (?:plain |clinical |radiographic |cross[- ]sectional )?(?:film|"
    r"radiograph|x-?ray|imaging|image|view|study|evaluation|assessment|investigation|mri|ct|ultrasound|examination|exam|review|"
    r"characteri[sz]ation|work-?up)\w*\b.{0,40}(?:\bif\b|\bin \d|\bin (?:one|two|three|ten|a)\b|\bweeks?\b|\bdays?\b|\bmonths?\b|"
    r"\bas (?:clinically )?(?:needed|indicated|required|warranted)|\bshould\b|\bmay\b|\bcould\b|\bcan\b|\bis\b|\bwould\b)",
    r"\b(?:referral|consultation|opinion)\b.{0,30}\b(?:is|are|should|suggested|advised|needed|to)\b",
    r"^(?:please )?(?:follow[- ]?up|f/u|refer|repeat)\b",
    r"\bif (?:there is )?(?:clinical(?:ly)?|symptoms?|pain|concern|suspicion|indicated)\b.{0,80}\b(?:ct|mri|radiograph|imaging|film|x-?ray|view)",
)
ASKS_FIRST = re.compile(
    r"^(?:if|should|follow|repeat|mri|mr|ct|ultrasound|further|additional|dedicated|please|suggest|recommend|consider|given|"
    r"orthop\w+|referral|advise|would|review|in view|when|clinical(?:ly)?|correlat\w+|consultation)\b",
    re.IGNORECASE,
)

COUNT = r"(?:\d+|one|two|three|four|five|six|single|multiple|several)"
VIEW = (
    r"(?:ap|pa|a\.p\.|lateral|lat|frontal|oblique|obl|axial|axillary|mortise|frog[- ]?leg|supine|erect|upright|standing|prone|decubitus|"
    r"weight[- ]?bearing|cross[- ]?table|swimmer'?s|skyline|sunrise|portable|anteroposterior|posteroanterior|antero-?posterior|"
    r"postero-?anterior|dorsovolar|dorsoplantar|bilateral|scaphoid|y|outlet|inlet|odontoid|open[- ]mouth|town?es|waters|caldwell|"
    r"panoramic|left|right|internal|external|rotation|limited|mobile|digital|plain|conventional)"
)
FILMS = r"(?:views?|projections?|radiographs?|radiography|radiogram|x-?\s?rays?|films?|images?|exposures?|series|study|studies|cxr|axr|babygram)"
TECHNIQUE = _any(
    rf"^(?:an? |the )?(?:{COUNT}[ -])?(?:(?:{VIEW})[,/ ]+(?:and |& |or )?)*{FILMS}\b",
    rf"^(?:an? |the )?(?:{VIEW})(?:(?:,| and|/| &| or)+ ?(?:an? )?(?:{VIEW}))*,? (?:{FILMS}|of)\b",
    rf"\b{FILMS}\b.*\b(?:was|were|has been|have been|are|is)\b.{{0,30}}\b(?:obtained|acquired|performed|taken|submitted|provided|"
    r"made|done|reviewed|available|presented|exposed|evaluated)\b",
    rf"\b(?:obtained|acquired|performed|taken|done)\b.*\b{FILMS}\b",
    r"\b(?:examination|exam|study|imaging|investigation)s? (?:was|were|has been) (?:performed|carried out|done|obtained|undertaken|"
    r"acquired|conducted)\b",
    r"\b(?:digital|computed) (?:detector|radiograph\w+)|\bkvp?\b|\bmas\b|\bdose[- ]area product|\bradiation dose|\bdap\b|\beos (?:system|scanner|imaging)",
    r"\b(?:greulich|tanner)\b.{0,60}\b(?:was|were) used|\bmethod of (?:greulich|tanner)\b.{0,20}$",
)

COMPARES = _any(
    r"\b(?:no|none|nil|without|not) (?:\w+ ){0,3}(?:prior|previous|earlier|comparison|old)\w*\b.{0,40}(?:available|comparison|stud|film|"
    r"radiograph|exam|imag|x-?ray|$)",
    r"\bserves? (?:for|as) (?:the |a )?(?:comparison|reference|baseline)|\b(?:used|available|obtained|reviewed) (?:for|in) comparison",
    r"^(?:in )?comparison\b.{0,10}\b(?:is|was|made|none|with|to)\b|\bcomparison (?:is|was) (?:made|performed)",
    r"^(?:when |as )?compared (?:with|to|against)\b",
    r"^(?:on|in) the (?:prior|previous|earlier|last)\b",
    r"^(?:the )?(?:prior|previous|earlier|last|most recent) (?:\w+ ){0,3}(?:stud|exam|film|radiograph|x-?ray|imag)\w*\b.{0,30}(?:dated|of|from|on|\d)",
    r"\b(?:prior|previous) (?:\w+ ){0,2}(?:studies|study|radiographs?|films?|images?|imaging|x-?rays?|exams?|examinations?) (?:dated|of|from)\b",
    r"^(?:none|nil|not available|no priors?)\.?$",
)

AGE = (
    r"(?:\b\d{1,3}(?:\.\d)?[- ]?(?:y/?o\b|yo\b|yrs?\b|years?\b|months?\b|mths?\b|mo\b|m/o\b|weeks?\b|wks?\b|days?\b|d/o\b)[- ]?(?:and \d+ months? )?"
    r"(?:[- ]?olds?\b|[- ]?of[- ]age)?)"
)
PERSON = r"(?:boy|girl|male|female|man|woman|infant|baby|child|toddler|teen\w*|adolescent|neonate|newborn|patient|pt|m|f|kid|youth)"
HISTORY_STRONG = _any(
    rf"{AGE}[,\s]*(?:-\s*)?(?:old )?(?:\w+ ){{0,2}}{PERSON}\b",
    rf"\b{PERSON}[,\s]+(?:is |of |aged |age )?(?:\(?{AGE})",
    r"\b\d{1,2}[- ]?(?:yo|y/o|year[- ]old|month[- ]old|week[- ]old|day[- ]old)\b",
    r"\b(?:clinical|known|past|prior|medical|surgical|family|remote|recent|previous) history\b|\bhistory of\b|^history\b|\bh/o\b|\bhx of\b",
    r"\b(?:presents?|presented|presenting|complain\w*|c/o|referred|admitted|brought in) (?:with|of|for|by|after|to|following)\b",
    r"^(?:clinical )?(?:indication|reason|question|concern)s?\b|\brule out\b|\br/o\b|\bquery\b|^please (?:assess|evaluate|exclude|rule|check)",
    r"\b(?:evaluate|assess|evaluation|assessment|check|looking|look) for\b",
    r"^(?:the )?(?:child|patient|pt|boy|girl|infant|baby|he|she|mother|father|mum|mom|parents?) (?:has|had|is|was|fell|presents?|"
    r"states?|reports?|reported|complain\w*|denies|injured|hit|twisted|cannot|can't|unable|will|woke|tripped|jumped|sustained|refus\w+|noticed)\b",
    r"\b(?:foosh|rta|mva|mvc|nai)\b",
)
HISTORY_WEAK = _any(
    r"\b(?:fell|fall|fallen|injur\w+|trauma|accident|twist\w*|trip\w*|kick\w*|punch\w*|crush\w*|slip\w* (?:on|off|over|down|in)|jump\w*|"
    r"collision|pedestrian|hit|struck|landed|tackled|assault\w*|football|soccer|rugby|trampoline|bike|bicycle|scooter|skate\w*|playground|sport\w*)\b",
    r"\b(?:pain|painful|ache|aching|tender\w*|limp\w*|fever\w*|febrile|cough\w*|wheez\w*|vomit\w*|stridor|dyspn\w+|sob|dysphagia|distress|bruis\w+|"
    r"weight[- ]?bear\w*|refus\w+|unable|not (?:using|moving|walking|weight)|won't|cannot|stiff\w*|weakness|irritab\w+|unwell|septic|sepsis|swallowed|ingest\w+)\b",
    r"\b(?:known|suspect\w*|follow[- ]?up|f/u|post[- ]?op\w*|pre[- ]?op\w*|s/p|status post|screening|surveillance|check|routine|new patient)\b",
    r"\b(?:since|ago|yesterday|today|last night|this morning|x \d+ ?(?:days?|weeks?)|for \d+ ?(?:days?|weeks?|months?|/)|\d/(?:7|52|12))\b",
    r"^\?|\?\s*$|\?\s?\w",
    rf"^{AGE}|\b(?:girl|boy|toddler|baby|infant|newborn|neonate|ex-?prem\w*|premature)\b",
)


def reason_of(text: str, *, before_findings: bool) -> Reason | None:
    """Why a sentence under no telling heading speaks of no film, or None where it may.

    `before_findings`: nothing above it in the report spoke of the films, so that a word of complaint is enough.
    """
    shows = SHOWS.search(text) is not None
    if IRRELEVANT.search(text) and not (PATHOLOGY.search(_before(IRRELEVANT, text)) and "," in text):
        return "irrelevant"
    if RECOMMENDS.search(text) and (ASKS_FIRST.search(text) or not PATHOLOGY.search(_before(RECOMMENDS, text))):
        return "irrelevant"
    if COMPARES.search(text) and not (shows and _compares_and_shows(text)):
        return "comparison"
    if not shows and TECHNIQUE.search(text):
        return "technique"
    if HISTORY_STRONG.search(text) and (before_findings or not shows or _opens_with_history(text)):
        return None if _states_finding(text) else "history"
    if before_findings and HISTORY_WEAK.search(text) and not _states_finding(text):
        return "history"
    return None


def _before(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return text[: match.start()] if match else ""


def _compares_and_shows(text: str) -> bool:
    """ "Compared with 3 May, the fracture has healed" speaks of the film; "No prior radiographs show the knee" does not."""
    return not re.match(r"(?:on|in) the (?:prior|previous|earlier|last)\b", text, re.IGNORECASE) and bool(
        re.search(r"\b(?:has|have|is|are|no|with|shows?|remains?|unchanged|stable|again)\b", text, re.IGNORECASE)
        and not re.search(r"\b(?:available|comparison is made|serves)\b", text, re.IGNORECASE)
    )


def _opens_with_history(text: str) -> bool:
    match = HISTORY_STRONG.search(text)
    return match is not None and match.start() < 25


def _states_finding(text: str) -> bool:
    """A sentence that says what is seen, whatever it says of the child beside it."""
    return bool(STATES.search(text)) and not text.lstrip().startswith("?")


STATES = _any(
    r"\bthere (?:is|are|has|was|were)\b|\b(?:is|are|was|were) (?:seen|noted|identified|demonstrated|visuali[sz]ed|present|intact|normal|"
    r"unremarkable|clear|aligned|displaced|preserved)\b",
    r"\b(?:is|are) (?:suspected|questioned|suggested|possible|likely)\b|\b(?:bony|inflammatory|erosive|arthritic|osseous) changes?\b",
    r"\b(?:shows?|showing|demonstrat\w+|reveal\w*)\b",
    r"^no\b(?! (?:trauma|known|history|injury|fever|pain))|\bno (?:acute|evidence|bony|osseous|fracture|focal|definite|radiographic|"
    r"displaced|dislocation|significant|joint|soft)\b|\bexcluded\b|\b(?:subtle|mild|minor|moderate|marked|large|obvious|definite|tiny|"
    r"extensive|severe)\b.{0,30}\b(?:fracture|effusion|swelling|erosion|narrowing|change|opacit|consolid)|\bwithin normal limits\b|\bunremarkable\b|\bintact\b",
    r"\b(?:undisplaced|nondisplaced|non-displaced|displaced|transverse|oblique|spiral|buckle|greenstick|salter\W?harris|healing|"
    r"comminuted|impacted|supracondylar|midshaft|mid-shaft|diaphyseal|metaphyseal)\b.{0,40}\bfracture",
)
