"""The words by which cues.py tells what a report says of the child from what it says of the films."""

from .cue_words import any_of

AGE = (
    r"(?:\b(?:\d{1,3}|x{2,})(?:\.\d)?[- ]?(?:y/?o\b|yo?\b|yrs?\b|years?\b|months?\b|mths?\b|mo\b|m/o\b|weeks?\b|"
    r"wks?\b|days?\b|d/o\b)[- ]?(?:and \d+ months? )?(?:[- ]?olds?\b|[- ]?of[- ]age)?)"
)
PERSON = (
    r"(?:boy|girl|male|female|man|woman|infant|baby|child|toddler|teen\w*|adolescent|neonate|newborn|patient|pt|m|f|"
    r"kid|youth)"
)
YEARS = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)"
)
GROWN = r".*\b(?:bone|skeletal|radiographic|dental) age|.*\b(?:standard|greulich)\b"  # no age of the child's own
HISTORY_CERTAIN = any_of(
    r"^(?:to|for) (?:assess|evaluate|exclude|rule out|determine|check|confirm|look|establish|document)\b",
    r"^(?:rule out|r/o|query|evaluate|assess|exclude)\b|^clinical(?:ly)? (?:suspect\w*|suspicion|concern|question)",
    r"^(?:has|had) (?:been|worn)\b",
    r"^(?!.*\bdisplaced).*\bneurovascular(?:ly)? (?:intact|status|ok|deficit|exam)|\bnvi\b|^(?!.*\d).*\b(?:before|"
    r"prior to|pending) (?:starting|commencing|stopping)\b|^baseline "
    r"(?:films?|imaging|radiographs?|x-?rays?)\b(?!.*(?:\b(?:show|normal|no)\b|:|\d))",
    r"^no (?:account|history|witness)\b|\bwill not locali[sz]e\.?$|"
    r"(?:\bbitten by|\b(?:dog|cat|human|horse) bite\b)(?!.*\b(?:gas|foreign|fracture|lucen)\b)",
    r"^(?:fell|tripped|jumped|landed|collided|crashed|tackled|foosh|stubbed|banged|bumped|"
    r"stepped on)\b(?!.*\b(?:buckle|"
    r"avuls\w+|fracture)\b)",
    r"^(?:twisted|inverted|everted|rolled) (?=(?:his|her|the|it|on|off|over|playing|at|during|while|in)\b|\w+ (?:on|"
    r"playing|at|during|while|yesterday|today)\b)",
    r"^(?:ex[- ]?)?\d{2} ?\+ ?\d\b|^day \d+ (?:after|post|following|of)\b(?!.*\b(?:lungs?|hazy|"
    r"pneumothora\w*|clear|align\w*|callus|position|fracture)\b)|^re:(?!.*\b(?:is|are|both|no)\b)",
    r"^(?:post|after|following|s/p) (?:\w+ ){1,4}(?:insertion|placement|intubation|extubation|removal)\.?$",
    r"\bnoted by (?:the )?(?:p(?:a?)ediatrician|gp|parents?|mother|father|clinician|physio\w*|family|"
    r"school)\b(?!.*\b(?:is|"
    r"measures?|corresponds?|represents?)\b)",
    r"\b(?:on|taking|receiving|started|commenced|given|under|treated with) (?:\w+ ){0,2}(?:methotrexate|steroids?|"
    r"biologics?|bisphosphonates?|antibiotics?|chemotherapy|growth hormone|pamidronate|zoledron\w+|infliximab|"
    r"adalimumab|etanercept|tocilizumab|insulin|warfarin|heparin|vitamin d|burosumab|hydroxyurea|predniso\w+|"
    r"dexamethasone|ibuprofen|naproxen|cpap|dialysis|tpn|chemo|radiotherapy|enzyme replacement|levothyroxine)\b",
    rf"^(?:now |currently |approximately |about )?(?:\d+|{YEARS}|several|few|a few|a) (?:days?|weeks?|months?|years?|"
    rf"wks?|mths?|yrs?) "
    r"(?:following|after|post|since|from|s/p|status post|out (?:from|of)|into|on from)\b(?!.*\b(?:align|callus|union|"
    r"unit|heal|position|maintain|unchanged|stable|satisfactory|there|no|periost|lucen|scler|widen|swell|effus)\w*)",
    r"\b(?:per|according to|as per) (?:the )?(?:radiographer|technologist|nurses?|nursing|father|mother|mum|"
    r"mom|dad|parents?|patient|family|gp|notes|ems|carers?|referr\w+|request|requisition|chart|school)\b",
    r"\b(?:fracture|surgery|operation|injury|\w+ectomy|\w+otomy|fixation|fusion|transplant\w*|diagnos\w+|nailing|"
    r"repair)s? (?:was |were )?(?:in|of|from|since|back in) (?:(?:early|late|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|"
    r"nov|dec)\w* )?(?:19|20)\d\d\b",
    r"^(?:the |her |his |their )?(?:mother|father|mum|mom|dad|parents?|family|carers?|grand\w+|teacher|school|coach|"
    r"nursery)\b.{0,25}\b(?:tells?|told|found|finds|says?|said|saw|sees|noticed?|notes|heard|reports?|reported|"
    r"thinks?|"
    r"thought|witnessed|describes?|states?|worried|concerned|gives?|gave|brought|den(?:y|ies|ied))\b",
    r"^(?:he|she|they) (?:\w+ed|\w+s|had|will|can|cannot|can't|won't|fell|hit|got|came|went|could|would|broke|lost)\b",
    r"^(?:his|her|their) (?:pain|symptoms?|mother|father|parents?|gait|fever|cough|limp|siblings?|brother|sister|"
    r"family)\b",
    r"^(?:the |this )?(?:child|patient|pt|boy|girl|infant|baby|toddler|teenager|adolescent|youngster|player|gymnast|"
    r"runner) (?:came|went|got|plays?|played|developed|complains|limps|walks|refuses|cries|cried|wakes|keeps|holds|"
    r"swallowed|caught|stubbed|bent|rolled|collided|crashed|landed|kicked|dropped|started|stopped|takes|took|attends|"
    r"attended|returns|returned|feels|felt|heard|hurt|broke|lost)\b",
    r"\b(?:broke|fractured|injured|hurt|twisted|sprained|jammed|caught|trapped|banged|stubbed) (?:his|her|their)\b",
    r"\b(?:previously|formerly) (?:had|sustained|broke|underwent)\b|\bunderwent\b",
    r"^(?:is|are|any|could|does|do|has|have|was|can|what|which|whether)\b.*\?\s*$|^(?:please )?comment on\b",
    r"^(?:born|delivered) (?:at|by|pre|in|after)|\bex-?prem\w*|\bweeks'? gestation",
    rf"^(?!{GROWN}).{{0,12}}\b{YEARS}[- ](?:year|month|week|day)s?[- ]old\b|^(?!{GROWN}).{{0,20}}\b(?:aged|age|"
    rf"at the age of) (?:\d|{YEARS})",
    rf"^(?!{GROWN}).{{0,20}}{AGE}[,\s]*(?:-\s*)?(?:old )?(?:\w+ ){{0,2}}{PERSON}\b",
    rf"^.{{0,12}}\b{PERSON}[,\s]+(?:is |of |aged |age )?(?:\(?{AGE})",
    rf"^(?!{GROWN})" r".{0,12}\b(?:\d{1,2}|x{2,})[- ]?(?:yo|y/o|year[- ]old|month[- ]old|week[- ]old|day[- ]old)\b",
    r"^(?:clinical |known |past |prior |medical |surgical |family |remote |recent )*history\b|^(?:known )?(?:h/o|"
    r"hx of)\b",
    r"^(?:the )?(?:child|patient|pt|boy|girl|infant|baby|he|she)?\s*(?:presents|presented|presenting|complain\w*|c/o|"
    r"referred|admitted|brought in) (?:with|of|for|by|after|to|following)\b",
    r"^(?:clinical )?(?:indication|reason)s?\b|^please (?:assess|evaluate|exclude|rule|check)",
    r"^(?:the )?(?:child|patient|pt|boy|girl|infant|baby|he|she) (?:is |has )?(?:status post|s/p|known|undergone|had|"
    r"fell|states?|denies|injured|hit|twisted|cannot|unable|woke|tripped|jumped|sustained|refus\w+)\b",
)
HISTORY_LIKELY = any_of(
    r"\bhistory\b|\bh/o\b|\bhx\b|\brule out\b|\br/o\b|\bquery\b|^question\b",
    r"\b(?:presents|presented|presenting|complain\w*|c/o|referred|admitted|brought in) (?:with|of|for|by|after|to|"
    r"following)\b",
    r"\b(?:evaluate|assess|evaluation|assessment|check|looking|look) for\b|^(?:evaluate|assess|exclude)\b",
    r"^(?:the )?(?:child|patient|pt|boy|girl|infant|baby|he|she|mother|father|mum|mom|parents?) (?:has|had|is|was|"
    r"will|reports?|reported|can't|noticed)\b",
    r"\b(?:foosh|rta|mva|mvc|nai)\b",
    r"\b(?:fell|fall|fallen(?!.fragment|.leaf)|injur\w+|trauma|accident|twist\w*|trip(?:s|ped|ping)?|kick\w*|"
    r"punch\w*|crush(?:ed|ing)?(?! fracture)|slip\w* (?:on|off|over|down|in)|jump\w*|collision|pedestrian|hit|struck|"
    r"landed|tackled|assault\w*|football|soccer|rugby|trampoline|bike|bicycle|scooter|skate\w*|playground|sport\w*)\b",
    r"\b(?:pain|painful|ache|aching|tender\w*|limp\w*|fever\w*|febrile|cough\w*|wheez\w*|vomit\w*|stridor|dyspn\w+|"
    r"sob|dysphagia|distress|bruis\w+|weight[- ]?bear\w*|refus\w+|unable|not (?:using|moving|walking|weight)|won't|"
    r"cannot|stiff\w*|weakness|irritab\w+|unwell|septic|sepsis|swallowed|ingest\w+)\b",
    r"\b(?:known|suspect\w*|follow[- ]?up|f/u|post[- ]?op\w*|pre[- ]?op\w*|s/p|status post|screening|surveillance|"
    r"check|routine|new patient)\b",
    r"\b(?:since|ago|yesterday|today|last night|this morning|x \d+ ?(?:days?|weeks?)|for \d+ ?(?:days?|weeks?|"
    r"months?|/)|\d/(?:7|52|12))\b",
    r"\b(?:delivery|at birth|birth weight|dystocia|moro|forceps|ventouse|cesarean|caesarean|apgar|breech|"
    r"antenatal\w*|prenatal\w*|drool\w*|chok\w+|gagg\w+|lethargic|pyrexial?|afebrile|apyrexial|crp|esr|wcc|hla|"
    r"anemi\w+|anaemi\w+|rash|wound|laceration|gait|puberty|menarche|menarchal|short stature|tall stature|bull(?:y|"
    r"ied)|wrestling|basketball|netball|gym\w*|dance\w*|ballet|hockey|cricket|judo|karate|horse|pony|swing|slide|"
    r"stairs?|sofa|bunk|cot|door|car|lorry|truck|bus)\b",
    r"\btreated (?:\w+ ){0,2}(?:in|with|by) (?:an? )?(?:\w+ )?(?:cast|plaster|spica|sling|splint|brace|traction|"
    r"k-?wires?|orif|fixation|nails?|harness|pavlik|antibiotics)\b|\bpreviously (?:fractured|treated|operated)\b",
    r"\b(?:following|after) (?:an? )?(?:\w+ )?(?:fall|injury|trauma|accident|collision)\b",
    r"^\?|\?\s*$|\?\s?\w|, \d{1,2}[mf](?=[,.]|$)|\bday \d+ (?:after|post)\b(?!.*\b(?:lungs?|hazy|pneumothora\w*)\b)|"
    r"^(?!.*\b(?:heart|cardio|lung)).*\bmurmur\b|"
    r"\bfamily (?:history|members?)\b|\b(?:gums|headaches?)\b(?!.*\b(?:canine|molar|sella|"
    r"sutures?)\b)(?<!with headache)|"
    r"\b(?:roller\s?(?:skat|blad)\w*|drive\s?way|paddock|quad (?:bike|rolled)|moped|motorcycle|motocross|"
    r"ski(?:ing|ed)?|snowboard\w*|surfing|climbed|climbing (?:frame|wall|tree)|monkey bars|bouncy|zip ?line|"
    r"lawn-?mower|treadmill|helmet|"
    r"hand drawn into|stopped walking|asks?|asking|wants?|insists?|sore(?! tooth)|facies|corneal|"
    r"dysmorphic (?:features|facies|child|baby|infant)|developmental (?:delay|regression|milestones?)|"
    r"(?:parents?|mother|father|mum|gp|family) (?:\w+ )?(?:concerned|worried|keen)|preterm (?=\d|infant|baby|born|"
    r"twin))\b|"
    r"\b\d+ (?:days|weeks|months) (?:after|post|following) \w+(?:ectomy|otomy|plasty)\b|"
    r"^(?!.*\bunion).*, week \d+\.?$|"
    r"^(?!.*\d ?deg).*\b(?:annual|yearly|monthly) (?:review|films?|check)\b",
    rf"^(?!.*\b(?:age|standard|greulich|skeletal|at|by)\b).*{AGE}(?:\.?$|, )",
    rf"^{AGE}|\b(?:girl|boy|toddler(?!'?s fracture)|baby|infant|newborn|neonate|ex-?prem\w*|premature)\b",
)
