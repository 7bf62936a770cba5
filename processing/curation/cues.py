"""Words by which a sentence shows that it speaks of no film: history, comparison, technique, advice, the office."""

import re

from .schema import Reason


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


FINDING = (
    r"fractur|dislocat|sublux|effusion|lesion|swelling|swollen|erosion|erosive|opaci|consolidat|pneumothora|"
    r"lucen|scleros|"
    r"sclerotic|deform|angulat|displac|callus|heal|hardware|periost|osteopeni|narrow|widen|thicken|enlarg|hyperinfl|"
    r"atelecta|curvature|scolio|kypho|foreign bod|nodul|densit|mass\b|cyst|dysplas|pneumoni|obstruct|calcifi|"
    r"fullness|"
    r"cardiomegal|edema|oedema|infiltrat|arthr"
)
# What a film shows. A sentence with such a word is no technique and no plain comparison.
SHOWS = _any(
    r"\b(?:show|demonstrat|reveal|depict|display|disclos|confirm|exclud)\w*",
    r"\b(?:normal|unremarkable|intact|preserved|maintained|clear|congruent|symmetric|abnormal|unchanged|stable|"
    r"alignment|aligned)",
    rf"\b(?:{FINDING})",
    r"\bno (?:evidence|acute|significant|focal|definite|obvious|bony|other|radiographic)\b",
    r"\b(?:interval|progress|improve|worsen|resol|increas|decreas|redemonstrat)",
    r"\bthere (?:is|are|has|have)\b",
)
PATHOLOGY = _any(rf"\b(?:{FINDING}|normal|unremarkable|intact|increas|decreas)")

IRRELEVANT = _any(
    r"\b(?:electronically|digitally) (?:signed|verified|approved|authenticated)",
    r"\b(?:dictated|transcribed|typed|signed|verified|authori[sz]ed|approved|finali[sz]ed) (?:by|at|on|and|"
    r"report)\b",
    r"\b(?:report|study|film|image|examination|radiograph|x-?ray)s? (?:(?:was|were|has been|"
    r"have been) )?(?:dictated|signed|"
    r"reported|reviewed|read|interpreted|verified|checked|typed|issued) (?:by|at|on|with)\b",
    r"^(?:dictated|read) but not ",
    r"^(?:reported|reviewed|read|interpreted|checked|signed|prepared|dictated) (?:by|at|on|with)\b",
    r"^(?:report|dictation) (?:dictated|by|ends)|\bend of (?:the )?(?:report|dictation)",
    r"\b(?:discussed|communicated|relayed|conveyed|called|telephoned|phoned|paged|d/w|notified|informed|alerted|"
    r"reported)\b"
    r"(?=.*\b(?:dr|doctor|phone|telephone|team|nurse|clinic|clinician|physician|parents?|mother|father|ed|er|"
    r"emergency|"
    r"department|ward|surgeon|registrar|resident|fellow|consultant|nicu|picu|icu|service|at \d|by)\b)",
    r"\b(?:dr|doctor|team|clinician|physician|nurse|parents?|service)\b.*\b(?:called|informed|notified|"
    r"contacted|paged|aware)\b",
    r"\b(?:telephone|phone) (?:call|conversation|report)|\bby (?:tele)?phone\b|\bverbal(?:ly)? (?:report|commun|"
    r"result|inform)",
    r"\bcritical (?:result|finding)s? (?:was|were|called|comm|notif)|\bread[- ]?back\b",
    r"\b(?:i|we),? (?:have |has )?(?:the )?(?:personally|attending)|\bi (?:have )?(?:reviewed|agree|concur|"
    r"supervised|attest)\b",
    r"\bagree with the (?:above|findings|interpretation|report|resident)|\bteaching physician\b",
    r"\battending\b.*\b(?:review|agree)|\byours (?:sincerely|faithfully)\b",
    r"\bthank(?:s| you)\b|\bkind regards\b|\bplease (?:do not hesitate|contact|call|note that)",
    r"\b(?:voice|speech) recognition|\btranscription error|\btypographical|\bdisclaimer\b|\bthis report (?:was|"
    r"is|has)\b",
    r"\b(?:study|examination|exam|evaluation|film|image|view|assessment|interpretation|radiograph|"
    r"quality)s?\b.{0,40}\b"
    r"(?:limited|degraded|suboptimal|non-?diagnostic|compromised|hampered) (?:by|due|owing|because|secondary|given)",
    r"\b(?:image|film|technical|diagnostic|study) quality\b|\b(?:motion|patient motion|movement) (?:artefact|"
    r"artifact|blur)",
    r"\b(?:adequate|acceptable|satisfactory|good|suboptimal) (?:image |film |technical |diagnostic )?(?:quality|"
    r"exposure|"
    r"positioning)",
    r"^(?:technically )?(?:limited|suboptimal|adequate|inadequate|satisfactory) (?:study|examination|exam|film|"
    r"view|quality)"
    r"s?\.?$",
    r"^(?:the )?(?:patient|child|pt)(?: is|'s)? (?:(?:mildly|slightly|somewhat|markedly) )?(?:rotated|"
    r"uncooperative|obese|moving)",
    r"\b(?:parent|mother|father|caregiver|guardian|play specialist|nurse)s? (?:was|were|stayed|held|remained|"
    r"accompanied|"
    r"present|refused|consented|declined)",
    r"\b(?:lead|gonad\w*) (?:shield|apron|protection)|\b(?:was|were|patient|gonads?) shield(?:ing|ed)\b|"
    r"\bpregnan\w+ (?:test|status)|"
    r"\bconsent\b|\bchaperon",
    r"\bchild protection (?:team|service)|\bsafeguarding\b|\bsocial (?:work|service)",
    r"\bimages? (?:are|were|was|is) (?:archived|stored|sent)|\b(?:pacs|accession|mrn|medical record number)\b|"
    r"\bpage \d+ of \d+",
)
STUDY = (
    r"mri|mr|ct|ultrasound|us|sonograph\w*|scan|radiograph\w*|x-?rays?|films?|images?|views?|imaging|follow|"
    r"referral|review|"
    r"correlation|opinion|examination|exam|consultation|study|studies|evaluation|fluoroscop\w*|comparison|"
    r"arthrogra\w*"
)
RECOMMENDS = _any(
    r"\b(?:recommend|advis|advocat)\w*",
    r"\b(?:clinical|clinically) correlat|\bcorrelat\w+ (?:clinically|with (?:clinical|exam|history|the clinical|"
    r"physical|site|"
    r"point))|\bcorrelation (?:is |with )?(?:clinical|recommend|advis|suggest|need)|^correlat",
    r"\b(?:would|may|might|can|could|should) be (?:suggested|considered|helpful|useful|warranted|indicated|required|"
    r"needed|appropriate|beneficial|of value|obtained|performed)\b",
    r"\b(?:is|are) (?:suggested|warranted|required|needed)\b|\b(?:is|are) (?:indicated|helpful|considered|"
    r"useful) (?:for|if|"
    r"to (?:exclude|evaluate|assess|confirm|rule|further|better))\b",
    rf"\b(?:suggest|consider|advise|propose|request|obtain|arrange|repeat)\b.{{0,40}}\b(?:{STUDY})\b",
    r"\b(?:follow[- ]?up|repeat|further|additional|dedicated|delayed) (?:plain |clinical |radiographic |"
    r"cross[- ]sectional )?"
    rf"(?:{STUDY}|assessment|investigation|characteri[sz]ation|work-?up)\w*\b.{{0,40}}(?:\b(?:if|should|may|"
    rf"could|can|is|would)\b|"
    r"\bin (?:\d|one|two|three|ten|a\b)|\b(?:week|day|month)s?\b|\bas (?:clinically )?(?:needed|indicated|"
    r"required|warranted))",
    r"\b(?:referral|consultation|opinion)\b.{0,30}\b(?:is|are|should|suggested|advised|needed|to)\b",
    r"^(?:please )?(?:follow[- ]?up|f/u|refer|repeat)\b",
    r"\bif (?:there is )?(?:clinical(?:ly)?|symptoms?|pain|concern|suspicion|indicated)\b.{0,80}\b(?:ct|mri|"
    r"radiograph|imaging|"
    r"film|x-?ray|view)",
)
ASKS_FIRST = re.compile(
    r"(?:if|should|follow|repeat|further|additional|dedicated|please|suggest|recommend|consider|given|orthop\w+|"
    r"referral|"
    rf"advise|would|in view|when|clinical(?:ly)?|correlat\w+|(?:an? |the )?(?:\w+ )?(?:{STUDY}))\b",
    re.IGNORECASE,
)

COUNT = r"(?:\d+|one|two|three|four|five|six|single|multiple|several)"
VIEW = (
    r"(?:ap|pa|a\.p\.|lateral|lat|frontal|oblique|obl|axial|axillary|mortise|frog(?:[- ]?leg)?|supine|erect|upright|"
    r"standing|prone|"
    r"decubitus|weight[- ]?bearing|cross[- ]?table|swimmer'?s|skyline|sunrise|portable|anteroposterior|"
    r"posteroanterior|"
    r"antero-?posterior|postero-?anterior|dorsovolar|dorsoplantar|bilateral|scaphoid|y|outlet|inlet|odontoid|"
    r"open[- ]mouth|"
    r"town?es|waters|caldwell|panoramic|left|right|internal|external|rotation|limited|mobile|digital|plain|"
    r"conventional)"
)
FILMS = (
    r"(?:views?|projections?|radiographs?|radiography|radiogram|x-?\s?rays?|films?|images?|exposures?|series|"
    r"study|studies|"
    r"cxr|axr|babygram)"
)
VIEWED = _any(rf"\b(?:{FILMS}|ap|pa|lat|lateral|oblique|frontal|supine|erect|standing|portable)\b")
MADE = r"(?:obtained|acquired|performed|taken|submitted|provided|made|done|reviewed|available|exposed|evaluated)"
TECHNIQUE = _any(
    rf"\b(?:in|on) (?:{COUNT}|both|orthogonal) (?:orthogonal )?(?:planes?|projections?|views?)\b",
    rf"^(?:an? |the )?(?:{COUNT}[ -])?(?:(?:{VIEW})[,/ ]+(?:and |& |or )?)*{FILMS}\b",
    rf"^(?:an? |the )?(?:{VIEW})(?:(?:,| and|/| &| or)+ ?(?:an? )?(?:{VIEW}))*,? (?:{FILMS}|of)\b",
    rf"\b{FILMS}\b.*\b(?:was|were|has been|have been|are|is)\b.{{0,30}}\b{MADE}\b",
    rf"\b(?:obtained|acquired|performed|taken|done)\b.*\b{FILMS}\b",
    rf"\b(?:examination|exam|study|imaging|investigation)s? (?:was|were|has been) (?:{MADE}|carried out|"
    rf"undertaken|conducted)\b",
    r"\b(?:digital|computed) (?:detector|radiograph\w+)|\bkvp?\b|\bmas\b|\bdose[- ]area product|"
    r"\bradiation dose|\bdap\b|"
    r"\beos (?:system|scanner|imaging)",
    r"\b(?:greulich|tanner)\b.{0,60}\b(?:was|were) used|\bmethod of (?:greulich|tanner)\b.{0,20}$",
)

OLDER = r"(?:prior|previous|earlier|old|comparison)"
RECORDS = r"(?:stud(?:y|ies)|films?|radiographs?|exams?|examinations?|images?|imaging|x-?rays?|comparisons?)"
COMPARES = _any(
    r"\b(?:reference|comparison) (?:is|was) made (?:to|with)\b|^(?:there (?:is|are) )?no (?:earlier|older)\b",
    rf"\b(?:no|none|nil|without|lack of) (?:relevant |recent |available |other |"
    rf"\w+ of )?{OLDER}s?\b(?: \w+)? ?(?:{RECORDS})?",
    rf"\b{OLDER} (?:\w+ )?{RECORDS}\b.{{0,30}}\b(?:not|un)\s?available|\bnot available for (?:direct )?comparison",
    r"\bserves? (?:for|as) (?:the |a )?(?:comparison|reference|baseline)|\b(?:used|available|obtained|"
    r"reviewed) (?:for|in) "
    r"comparison",
    r"^(?:in )?comparison\b.{0,10}\b(?:is|was|made|none|with|to)\b|\bcomparison (?:is|was) (?:made|performed)",
    r"^(?:when |as )?compared (?:with|to|against)\b|^reference (?:films?|stud(?:y|ies)|imaging)\b",
    r"^(?:on|in) the (?:prior|previous|earlier|last)\b",
    rf"^(?:the )?(?:prior|previous|earlier|last|most recent) (?:\w+ ){{0,3}}{RECORDS}\b.{{0,30}}(?:dated|of|"
    rf"from|on|\d)",
    r"^(?:none|nil|not available|no priors?)\.?$",
)
STILL_SHOWS = re.compile(
    r",.*\b(?:is|are|has|have|there|no|with|shows?|remains?|unchanged|stable|again)\b|"
    r"\b(?:has|have) (?:healed|improved|progressed|resolved|increased|decreased|changed)|\bshows?\b|\bis (?:no|"
    r"unchanged|stable)",
    re.IGNORECASE,
)

AGE = (
    r"(?:\b(?:\d{1,3}|x{2,})(?:\.\d)?[- ]?(?:y/?o\b|yo\b|yrs?\b|years?\b|months?\b|mths?\b|mo\b|m/o\b|weeks?\b|"
    r"wks?\b|days?\b|"
    r"d/o\b)[- ]?(?:and \d+ months? )?(?:[- ]?olds?\b|[- ]?of[- ]age)?)"
)
PERSON = (
    r"(?:boy|girl|male|female|man|woman|infant|baby|child|toddler|teen\w*|adolescent|neonate|newborn|patient|pt|"
    r"m|f|kid|"
    r"youth)"
)
YEARS = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)"
)
HISTORY_CERTAIN = _any(
    r"^(?:to|for) (?:assess|evaluate|exclude|rule out|determine|check|confirm|look|establish|document)\b",
    r"^(?:rule out|r/o|query|evaluate|assess|exclude)\b|^clinical(?:ly)? (?:suspect\w*|suspicion|concern|question)",
    r"\b(?:on|taking|receiving|under (?:treatment|therapy) with|treated with) (?:\w+ )?(?:methotrexate|steroids?|"
    r"biologics?|bisphosphonates?|antibiotics?|chemotherapy|growth hormone)\b",
    r"^(?:he|she) (?:is|was|has|had|will)\b|^(?:has|had) (?:been|worn)\b",
    r"^(?:born|delivered) (?:at|by|pre|in|after)|\bex-?prem\w*|\bweeks'? gestation",
    r"^(?!.*fractur).*\b(?:following|after) (?:an? )?(?:\w+ )?(?:fall|injury|trauma|accident|collision)\b",
    rf"^.{{0,12}}\b{YEARS}[- ](?:year|month|week|day)s?[- ]old\b|^.{{0,20}}\b(?:aged|age|at the age of) (?:\d|"
    rf"{YEARS})",
    rf"^.{{0,20}}{AGE}[,\s]*(?:-\s*)?(?:old )?(?:\w+ ){{0,2}}{PERSON}\b",
    rf"^.{{0,12}}\b{PERSON}[,\s]+(?:is |of |aged |age )?(?:\(?{AGE})",
    r"^.{0,12}\b(?:\d{1,2}|x{2,})[- ]?(?:yo|y/o|year[- ]old|month[- ]old|week[- ]old|day[- ]old)\b",
    r"^(?:clinical |known |past |prior |medical |surgical |family |remote |recent )*history\b|"
    r"^(?:known )?(?:h/o|hx of)\b",
    r"^(?:the )?(?:child|patient|pt|boy|girl|infant|baby|he|she)?\s*(?:presents|presented|presenting|"
    r"complain\w*|c/o|referred|"
    r"admitted|brought in) (?:with|of|for|by|after|to|following)\b",
    r"^(?:clinical )?(?:indication|reason)s?\b|^please (?:assess|evaluate|exclude|rule|check)",
    r"^(?:the )?(?:child|patient|pt|boy|girl|infant|baby|he|she) (?:is |has )?(?:status post|s/p|known|"
    r"undergone|had|fell|states?|"
    r"denies|injured|hit|twisted|cannot|unable|woke|tripped|jumped|sustained|refus\w+)\b",
)
HISTORY_LIKELY = _any(
    r"\bhistory\b|\bh/o\b|\bhx\b|\brule out\b|\br/o\b|\bquery\b|^question\b",
    r"\b(?:presents|presented|presenting|complain\w*|c/o|referred|admitted|brought in) (?:with|of|for|by|after|"
    r"to|following)\b",
    r"\b(?:evaluate|assess|evaluation|assessment|check|looking|look) for\b|^(?:evaluate|assess|exclude)\b",
    r"^(?:the )?(?:child|patient|pt|boy|girl|infant|baby|he|she|mother|father|mum|mom|parents?) (?:has|had|is|"
    r"was|will|reports?|"
    r"reported|can't|noticed)\b",
    r"\b(?:foosh|rta|mva|mvc|nai)\b",
    r"\b(?:fell|fall|fallen|injur\w+|trauma|accident|twist\w*|trip\w*|kick\w*|punch\w*|crush\w*|slip\w* (?:on|"
    r"off|over|down|in)|"
    r"jump\w*|collision|pedestrian|hit|struck|landed|tackled|assault\w*|football|soccer|rugby|trampoline|bike|"
    r"bicycle|scooter|"
    r"skate\w*|playground|sport\w*)\b",
    r"\b(?:pain|painful|ache|aching|tender\w*|limp\w*|fever\w*|febrile|cough\w*|wheez\w*|vomit\w*|stridor|"
    r"dyspn\w+|sob|dysphagia|"
    r"distress|bruis\w+|weight[- ]?bear\w*|refus\w+|unable|not (?:using|moving|walking|weight)|won't|cannot|"
    r"stiff\w*|weakness|"
    r"irritab\w+|unwell|septic|sepsis|swallowed|ingest\w+)\b",
    r"\b(?:known|suspect\w*|follow[- ]?up|f/u|post[- ]?op\w*|pre[- ]?op\w*|s/p|status post|screening|"
    r"surveillance|check|routine|"
    r"new patient)\b",
    r"\b(?:since|ago|yesterday|today|last night|this morning|x \d+ ?(?:days?|weeks?)|for \d+ ?(?:days?|weeks?|"
    r"months?|/)|"
    r"\d/(?:7|52|12))\b",
    r"^\?|\?\s*$|\?\s?\w",
    rf"^{AGE}|\b(?:girl|boy|toddler|baby|infant|newborn|neonate|ex-?prem\w*|premature)\b",
)
# A sentence that says what is seen, whatever it says of the child beside it.
STATES = _any(
    r"^(?!.*\b(?:symptom|clinical|presentation)).*\b(?:consistent|compatible|in keeping) with\b|"
    r"\b(?:suspicious for|suggestive of|suggesting)\b",
    r"\bpost-?\s?(?:operative|surgical|traumatic) (?:change|appearance|deformity|state)s?\b",
    r"\b(?:bones?|lungs?|heart|physes|cortex|cortices|soft tissues?)\b.{0,20}\b(?:is|are|appears?|looks?)\b",
    r"\bthere (?:is|are|has|was|were)\b|\b(?:is|are|was|were) (?:seen|noted|identified|demonstrated|"
    r"visuali[sz]ed|present|intact|"
    r"normal|unremarkable|clear|aligned|displaced|preserved|suspected|questioned|suggested|possible|likely)\b",
    r"\b(?:bony|inflammatory|erosive|arthritic|osseous) changes?\b|\b(?:show\w*|demonstrat\w+|reveal\w*|"
    r"excluded)\b",
    r"^no\b(?! (?:trauma|known|history|injury|fever|pain))|\bno (?:acute|evidence|bony|osseous|fracture|focal|"
    r"definite|"
    r"radiographic|displaced|dislocation|significant|joint|soft)\b|\bwithin normal limits\b|\bunremarkable\b|"
    r"\bintact\b",
    r"\b(?:subtle|mild|minor|moderate|marked|significant|large|obvious|definite|tiny|extensive|"
    r"severe)\b.{0,30}\b(?:fracture|effusion|"
    r"swelling|erosion|narrowing|change|opacit|consolid)",
    r"\b(?:undisplaced|nondisplaced|non-displaced|displaced|transverse|oblique|spiral|buckle|greenstick|"
    r"salter\W?harris|healing|"
    r"comminuted|impacted|supracondylar|midshaft|mid-shaft|diaphyseal|metaphyseal)\b.{0,40}\bfracture",
)


def reason_of(text: str, *, before_findings: bool) -> Reason | None:
    """Why a sentence under no telling heading speaks of no film, or None where it may.

    `before_findings`: nothing above it spoke of the films, nor does it, so that a word of complaint is enough.
    """
    if IRRELEVANT.search(text) or _recommends(text):
        return "irrelevant"
    shows = SHOWS.search(text) is not None
    if COMPARES.search(text) and not (shows and STILL_SHOWS.search(text)):
        return "comparison"
    if not shows and TECHNIQUE.search(text):
        return "technique"
    if (HISTORY_CERTAIN.search(text) or (before_findings and HISTORY_LIKELY.search(text))) and (
        text.startswith("?") or not STATES.search(text)
    ):
        return "history"
    return None


def says_finding(text: str, *, in_history: bool) -> bool:
    """Whether a sentence below a heading that says otherwise speaks of the films after all."""
    if in_history and HISTORY_LIKELY.search(text):
        return False
    return STATES.search(text) is not None and reason_of(text, before_findings=False) is None


def shows_something(text: str) -> bool:
    """Whether a sentence has any word of what a film shows."""
    return SHOWS.search(text) is not None


def names_a_view(text: str) -> bool:
    """Whether a title says how it was filmed: "AP and lateral left knee"."""
    return VIEWED.search(text) is not None


SHOWN = re.compile(r"\b(?:show(?:s|ed|ing|n)?|demonstrat\w+|reveal\w*)\b", re.IGNORECASE)
WISHED = re.compile(r"\b(?:recommend|advis|suggest|should|would|could|may|consider)", re.IGNORECASE)


def _recommends(text: str) -> bool:
    """Advice alone. "Healing fracture, follow-up is advised" speaks of the film."""
    cue = RECOMMENDS.search(text)
    if cue is None or (SHOWN.search(text) and not WISHED.search(text)):
        return False
    return ASKS_FIRST.match(text) is not None or not PATHOLOGY.search(text, 0, cue.start())
