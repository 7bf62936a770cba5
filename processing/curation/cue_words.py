"""The words by which cues.py tells what speaks of a film from history, comparison, technique and advice."""

import re


def any_of(*patterns: str) -> re.Pattern[str]:
    """For text in lower case: ignoring case takes twice as long."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


FINDING = (
    r"fractur|dislocat|sublux|effusion|lesion|swelling|swollen|erosion|erosive|opaci|consolidat|pneumothora|lucen|"
    r"scleros|sclerotic|deform|angulat|displac|callus|heal|hardware|periost|osteopeni|narrow|widen|thicken|enlarg|"
    r"hyperinfl|atelecta|curvature|scolio|kypho|foreign bod|nodul|densit|mass\b|cyst|dysplas|pneumoni|obstruct|"
    r"calcifi|fullness|cardiomegal|edema|oedema|infiltrat|arthr|avuls|flatten|fragment|wedg|collaps|buckl|listhesis|"
    r"malposition|sarcoma|tumou?r|malignan|metasta|lytic|osteomyelit|perthes|rachit|synostos|coalition|ossif|"
    r"spina bifida|rickets|necrosis|zebra|haz[ey]|enlocat|gracile|bow(?:ed|ing)|exosto|rotary|salter|maisonneuve|"
    r"monteggia|galeazzi|tillaux|segond|bankart|hill.?sachs|colles|osgood|sever'?s"
)
# What a film shows. A sentence with such a word is no technique and no plain comparison.
SHOWS = any_of(
    r"\b(?:show|demonstrat|reveal|depict|display|disclos|confirm|exclud)\w*",
    r"\b(?:normal|unremarkable|intact|preserved|maintained|clear|congruent|symmetric|abnormal|unchanged|stable|"
    r"alignment|aligned|parallel|equal)",
    rf"\b(?:{FINDING})",
    r"\bno (?:evidence|acute|significant|focal|definite|obvious|bony|other|radiographic)\b",
    r"\b(?:interval|progress|improve|worsen|resol|increas|decreas|redemonstrat)",
    r"\bthere (?:is|are|has|have)\b|\b(?:is|are) (?:\w+ )?(?:less|more|larger|smaller|denser|clearer|wider|better|"
    r"worse)\b",
    r"\b(?:coil|kink|migrat|retain|overl(?:ie|ay)|uncover|demineral|trabecul|matur)\w*",
    r"\b(?:tip|end)s? (?:\w+ ){0,3}(?:is|are|lies?|at|in|over|project\w*)\b",
)
PATHOLOGY = any_of(
    rf"\b(?:{FINDING}|normal|unremarkable|intact|increas|decreas|injur|alignment|aligned|maintained|preserved|"
    r"free (?:air|gas)|suspicious|batter|coin\b)"
)

IRRELEVANT = any_of(
    r"\b(?:electronically|digitally) (?:signed|verified|approved|authenticated)",
    r"\b(?:dictated|transcribed|typed|signed|verified|authori[sz]ed|approved|finali[sz]ed) (?:by|at|on|and|report)\b",
    r"\b(?:report|study|film|image|examination|radiograph|x-?ray)s? (?:(?:was|were|has been|have been) )?(?:dictated|"
    r"signed|reported|reviewed|read|interpreted|verified|checked|typed|issued) (?:by|at|on|with)\b",
    r"^(?:dictated|read) but not ",
    r"^(?:reported|reviewed|read|interpreted|checked|signed|prepared|dictated) (?:by|at|on|with)\b",
    r"^(?:report|dictation) (?:dictated|by|ends)|\bend of (?:the )?(?:report|dictation)",
    r"\b(?:discussed|communicated|relayed|conveyed|(?<!so-)(?<!so )called|telephoned|phoned|paged|d/w|notified|"
    r"informed|alerted|reported)\b(?=.*\b(?:dr|doctor|phone|telephone|team|nurse|clinic|clinician|physician|parents?|"
    r"mother|father|ed|er|emergency|department|ward|surgeon|registrar|resident|fellow|consultant|nicu|picu|icu|"
    r"service|at \d|by|reg|sho|gp|\w*surgery|\w*surgical|ortho\w*|plastics|oncology|rheumatology|p(?:a?)ediatrics?|"
    r"urology|gastro\w*|ent)\b)",
    r"^(?:[\w-]+ ){1,6}?(?:informed|notified|contacted|telephoned|phoned|rung|paged|bleeped|alerted|(?:made )?aware|"
    r"updated)(?: (?:of (?:the )?(?:above|result|finding)s?|of this|immediately|directly))?[ ,]*(?:(?:at|@|"
    r"on) )?(?:\d{1,2}[:.h]?\d{0,2} ?(?:h|hrs|hours|am|pm)?)?\.?$",
    r"\b(?:dr|doctor|team|clinician|physician|nurse|parents?|service)\b.*\b(?:called|informed|notified|contacted|"
    r"paged|aware)\b",
    r"\b(?:telephone|phone) (?:call|conversation|report)|\bby (?:tele)?phone\b|\bverbal(?:ly)? (?:report|commun|"
    r"result|inform)",
    r"\bcritical (?:result|finding)s? (?:was|were|called|comm|notif)|\bread[- ]?back\b",
    r"\b(?:critical|urgent|significant) (?:results?|findings?) (?:system|pathway|alert|log)\b|"
    r"\b(?:films?|images?|views?|reports?) to follow\.?$|"
    r"\b(?:final|formal|full|official|preliminary|provisional|addend\w+) (?:read|report|interpretation)\b|"
    r"\baddend\w+ (?:is|was|has been) (?:issued|made|added|dictated|created)\b|"
    r"\bis a clinical diagnosis\b(?!.*\b(?:but|however)\b)|"
    r"^(?!.*(?:\d ?(?:mm|cm|deg|years)|\btip\b|\b[tl]\d)).*\b(?:in line with|according to|as per|per) (?:\w+ ){0,2}"
    r"(?:guidance|guidelines?|protocol|policy)\b|"
    r"\bwet read\b|\breport to follow\b",
    r"^(?:yours|sincerely|faithfully|respectfully|cordially|best wishes|with (?:best|kind)|best regards|(?:warm |"
    r"kindest )?regards)\b",
    r"\b(?:i|we),? (?:have |has )?(?:the )?(?:personally|attending)|\bi (?:have )?(?:reviewed|agree|concur|"
    r"supervised|attest)\b",
    r"\bagree with the (?:above|findings|interpretation|report|resident)|\bteaching physician\b",
    r"\battending\b.*\b(?:review|agree)",
    r"\bthank(?:s| you)\b|\bplease (?:do not hesitate|contact|call)",
    r"\b(?:voice|speech) recognition|\btranscription error|\btypographical|\bdisclaimer\b|\bthis report (?:was|is|"
    r"has)\b",
    r"\b(?:study|examination|exam|evaluation|film|image|view|assessment|interpretation|radiograph|"
    r"quality)s?\b.{0,40}\b(?:limited|degraded|suboptimal|non-?diagnostic|compromised|hampered) (?:by|due|owing|"
    r"because|secondary|given)",
    r"\b(?:image|film|technical|diagnostic|study) quality\b|\b(?:motion|patient motion|movement) (?:artefact|"
    r"artifact|blur)",
    r"\b(?:adequate|acceptable|satisfactory|good|suboptimal) (?:image |film |technical |diagnostic )?(?:quality|"
    r"exposure|positioning(?! of))",
    r"^(?:technically )?(?:limited|suboptimal|adequate|inadequate|satisfactory) (?:study|examination|exam|film|view|"
    r"quality)s?\.?$",
    r"^(?:the )?(?:patient|child|pt)(?: is|'s)? (?:(?:mildly|slightly|somewhat|markedly) )?(?:rotated|uncooperative|"
    r"obese|moving)",
    r"\b(?:parent|mother|father|caregiver|guardian|play specialist|nurse)s? (?:was|were|stayed|held|remained|"
    r"accompanied|present|refused|consented|declined)",
    r"\b(?:lead|gonad\w*) (?:shield|apron|protection)|\b(?:was|were|patient|gonads?) shield(?:ing|ed)\b|"
    r"\bpregnan\w+ (?:test|status)|\bconsent\b|\bchaperon",
    r"\bchild protection (?:team|service)|\bsafeguarding\b|\bsocial (?:work|service)",
    r"^please\b(?! (?:note|assess|evaluate|exclude|rule|check|comment)\b)|\b(?:in )?copied(?: in| to)?\.?$|"
    r"\bopinion (?:desirable|advisable|valuable|sought|awaited)\b",
    r"^(?:signed|typed|reported|read|dictated|verified|approved) (?:electronically|remotely|digitally|off[- ]?site|"
    r"overnight)\b",
    r"^(?:findings )?(?:as|see) above\.?$|^(?:i have |there is )?(?:nothing|no) (?:further|else|more|"
    r"other) (?:comments?|to add|to say)",
    r"\b(?:happy to (?:discuss|review)|let (?:me|us) know)\b|^(?:cheers|best|kr|br|rgds)\W*$",
    r"^(?:the |this |these |a )*(?:film|image|study|view|radiograph|projection|exam|examination)s? (?:is|"
    r"are) (?:\w+ ){0,2}(?:rotated|under-?exposed|over-?exposed|under-?penetrated|over-?penetrated|suboptimal|"
    r"limited|degraded|blurred|of (?:poor|good|limited|adequate|diagnostic))",
    r"^(?:slightly |mildly |somewhat |markedly )?(?:rotated|under-?exposed|over-?exposed|under-?penetrated|"
    r"suboptimal)(?: \w+){0,2}\.?$",
    r"^(?:the |overlying |an? )*(?:plaster\w*|cast|splint|back-?slab|collar|brace|jewell?ery|clothing|blankets?|"
    r"motion|movement|rotation|artefacts?|artifacts?|spinal board|trauma board|hair|braids)\b.{0,40}\b(?:obscur|"
    r"degrad|limit|hinder|imped|overl)\w*(?: \w+){0,4}? (?:details?|assessment|evaluation|views?|interpretation|"
    r"films?|images?|anatomy)\.?$",
    r"^message\b|\bmessage (?:was )?left\b|\b(?:nurse|team|doctor|dr|registrar|parents?|consultant)\b.{0,20}\btold\b",
    r"^for (?:discussion|review|referral|rigid|bronchoscopy)\b|(?:^for|\bthe) (?:\w+ )?mdt\b|"
    r"\bnot routinely (?:indicated|needed)\b",
    r"^(?:(?:above|below)[- ]?(?:knee|elbow) |volar |dorsal )?(?:back-?slab|splint|boot)(?:\.|$)",
    r"\b(?:interpreted|read|reported) by the\b|^(?:mri|ct|ultrasound|us)\b.{0,20}\b(?:more|"
    r"most) sensitive\b(?!.*\bbut\b)",
    r"\btold\.?$|\b(?:mr|mrs|ms|dr)\b.*\bto see\.?$|\bdiscretion\b|\b(?:seen|sent|received) (?:the |these )?images\b|"
    r"\bcop(?:y|ies) (?:goes|sent)\b|\b(?:mentioned|explained|given|handed) to (?:the )?(?:family|mother|father|mum|"
    r"mom|nan|parents?|patient|child)\b|"
    r"^(?:not )?fit (?:for|to)\b|^(?!.*(?:pulmonary|vascular|artery))(?:[\w-]+ ){0,2}(?:sling|crutches)\.?$|"
    r"^radiographer'?s? (?:note|comment)",
    r"\bimages? (?:are|were|was|is) (?:archived|stored|sent)|\b(?:pacs|accession|mrn|medical record number)\b|"
    r"\bpage \d+ of \d+",
)
STUDY = (
    r"mri|mr|ct|ultrasound|us|sonograph\w*|scan|radiograph\w*|x-?rays?|films?|images?|views?|imaging|follow|referral|"
    r"review|correlation|opinion|examination|exam|consultation|study|studies|evaluation|fluoroscop\w*|comparison|"
    r"arthrogra\w*"
)
RECOMMENDS = any_of(
    r"\b(?:recommend|advis|advocat)\w*",
    r"\b(?:clinical|clinically) correlat|(?<!after )\bcorrelat\w+ (?:clinically|with\b)|\bcorrelation (?:is |"
    r"with )?(?:clinical|recommend|advis|suggest|need)|^correlat",
    r"\b(?:would|may|might|can|could|should) be (?:suggested|considered|helpful|useful|warranted|indicated|required|"
    r"needed|appropriate|beneficial|of value|obtained|performed)\b",
    r"\b(?:is|are) (?:suggested|warranted|required|needed)\b|\b(?:is|are) (?:indicated|helpful|considered|"
    r"useful) (?:for|if|to (?:exclude|evaluate|assess|confirm|rule|further|better))\b",
    rf"\b(?:suggest|consider|advise|propose|request|obtain|arrange|repeat)\b.{{0,40}}\b(?:{STUDY})\b",
    r"(?<!on )\b(?:follow[- ]?up|repeat|further|additional|dedicated|delayed) (?:plain |clinical |radiographic |"
    r"cross[- ]sectional )?"
    rf"(?:{STUDY}|assessment|investigation|characteri[sz]ation|work-?up)\w*\b.{{0,40}}(?:\b(?:if|should|may|could|"
    rf"can|is|would)\b|"
    r"\bin (?:\d|one|two|three|ten|a\b)|\b(?:week|day|month)s?\b|\bas (?:clinically )?(?:needed|indicated|required|"
    r"warranted))",
    r"\b(?:referral|consultation|opinion)\b.{0,30}\b(?:is|are|should|suggested|advised|needed|to)\b",
    r"^(?:please )?(?:follow[- ]?up|f/u|refer|repeat)\b",
    r"\b(?:opinion|review|referral|clinic|follow[- ]?up|advice|consult\w*|assessment|mri|ct|ultrasound|us|views?|"
    r"films?|x-?rays?)(?:,)? please\.?$",
    r"^(?:further|continued|ongoing|regular|annual|yearly|interval|early|urgent|prompt|"
    r"close) (?:\w+ ){0,2}?(?:review|follow[- ]?up|surveillance|monitoring|imaging|management|assessment|films?|"
    r"radiographs?)\b",
    r"^(?:adv(?:ice)?|plan)\b[:.]|^(?:[\w-]+ ){1,5}please\.?$|^(?:[\w-]+ ){1,3}referral(?: \w+){0,3}\.?$",
    r"^(?:mri|ct|hrct|ultrasound|us)\b.*\b(?:booked|arranged|planned|scheduled|awaited|pending|requested)\b",
    r"^(?:[\w-]+ ){1,3}(?:review|referral|follow[- ]?up|clinic) (?:once|when|after|in|at|within)\b",
    r"\b(?:mri|ct|ultrasound|us|views?)\b.{0,20}\b(?:would|may|can|could|will) (?:help|characteri[sz]e|clarify|"
    r"further|better|assess|delineate|define|add)",
    r"\bneeds? (?:\w+ ){0,3}(?:review|referral|imaging|input|follow[- ]?up|assessment|films?|mri|ct)\b",
    r"^no (?:repeat|follow[- ]?up|further (?:films?|imaging|views?)) (?:is )?(?:needed|required|necessary)\b|"
    r"^(?:also |please )?(?:re-?)?(?:examine|image|x-?ray|check) .*\b(?:weeks?|months?|days?)\b",
    rf"\bto correlate\b|\b(?:{STUDY}|testing) suggested\.?$|^(?:please )?(?:consider (?:\w+ ){{0,2}}(?:{STUDY}|"
    rf"slowing|stopping|input)|continue (?!to see)|keep (?!in mind))\b|\bplease (?:get|obtain|arrange|"
    r"repeat|request|consider|refer|perform)\b|\b(?:tests?|testing|biopsy|bloods?|serology|genetics?) "
    r"(?:can|may|could|would|should|will)\b",
    r"\bif (?:there is )?(?:clinical(?:ly)?|symptoms?|pain|concern|suspicion|indicated)\b.{0,80}\b(?:ct|mri|"
    r"radiograph|imaging|film|x-?ray|view)",
)
ASKS_FIRST = re.compile(
    r"(?:if|should|follow|repeat|further|additional|dedicated|please|suggest|recommend|consider|given|orthop\w+|"
    r"referral|"
    rf"advise|would|in view|when|clinical(?:ly)?|correlat\w+|(?:an? |the )?(?:\w+ )?(?:{STUDY}))\b",
)

COUNT = r"(?:\d+|one|two|three|four|five|six|single|multiple|several)"
VIEW = (
    r"(?:ap|pa|a\.p\.|lateral|lat|frontal|oblique|obl|axial|axillary|mortise|frog(?:[- ]?leg)?|supine|erect|upright|"
    r"standing|prone|decubitus|weight[- ]?bearing|cross[- ]?table|swimmer'?s|skyline|sunrise|portable|"
    r"anteroposterior|posteroanterior|antero-?posterior|postero-?anterior|dorsovolar|dorsoplantar|bilateral|scaphoid|"
    r"y|outlet|inlet|odontoid|open[- ]mouth|long|full[- ]length|long[- ]leg|low[- ]dose|biplanar|two-?view|"
    r"three-?view|single-?view|cone[ds]?|town?es|waters|caldwell|panoramic|left|right|internal|external|rotation|"
    r"limited|mobile|digital|plain|conventional|flexion|extension|laterals)"
)
FILMS = (
    r"(?:views?|projections?|radiographs?|radiography|radiogram|x-?\s?rays?|films?|images?|exposures?|series|study|"
    r"studies|cxr|axr|babygram)"
)
VIEWED = any_of(rf"\b(?:{FILMS}|ap|pa|lat|laterals?|oblique|frontal|supine|erect|standing|portable)\b")
MADE = r"(?:obtained|acquired|performed|taken|submitted|provided|made|done|reviewed|available|exposed|evaluated)"
TECHNIQUE = any_of(
    rf"\b(?:in|on) (?:{COUNT}|both|orthogonal) (?:orthogonal )?(?:planes?|projections?|views?)\b",
    rf"^(?:an? |the )?(?:{COUNT}[ -])?(?:(?:{VIEW})[,/ ]+(?:and |& |or )?)*{FILMS}\b",
    rf"^(?:an? |the )?(?!(?:rotation|flexion|extension) of)(?:{VIEW})(?:(?:,| and|/| &|"
    rf" or)+ ?(?:an? )?(?:{VIEW}))*,? (?:{FILMS}|of)\b",
    rf"\b{FILMS}\b.*\b(?:was|were|has been|have been|are|is)\b.{{0,30}}\b{MADE}\b",
    rf"\b(?:obtained|acquired|performed|taken|done)\b.*\b{FILMS}\b",
    rf"\b(?:examination|exam|study|imaging|investigation)s? (?:was|were|has been) (?:{MADE}|carried out|undertaken|"
    rf"conducted)\b",
    r"\b\d+ ?mls? (?:of )?(?:omnipaque|gastrografin|contrast|barium)\b(?!.*\b(?:in|pass|reflux|fill)\w*\b)",
    r"^(?:contralateral|comparison) (?:views?|films?|radiographs?) (?:of|at|for|obtained|taken|only|requested)\b",
    rf"\b{COUNT} {FILMS} (?:of|each|per|in all|in total)\b",
    rf"^{VIEW}(?:(?:,| and| plus|/| &| or|\+)+ ?(?:an? )?{VIEW})+(?: only| each side)?\.?$",
    rf"^(?!.*\b(?:on|in) (?:this|these|the|all)\b)(?:an? |the )?(?:{COUNT} )?(?!left|right|long|internal|external|"
    rf"rotat)(?:{VIEW}[,/]? (?:and |& )?)+(?:[\w-]+ ){{1,5}}?{FILMS}\b",
    r"^(?:portable|standing|supine|erect|weight[- ]?bearing|cross[- ]?table|mobile|upright|prone)(?: (?:study|exam|"
    r"examination|only))?\.?$|^(?:limited |full |complete )?skeletal survey\b",
    rf"^(?:{VIEW} )?(?:[\w-]+ ){{0,3}}(?:in|on) (?:{COUNT}|both) (?:exposure|film|plate|cassette|image)s?\b",
    r"\b(?:digital|computed) (?:detector|radiograph\w+)|\bkvp?\b|\bmas\b|\bdose[- ]area product|\bradiation dose|"
    r"\bdap\b|\beos (?:system|scanner|imaging)",
    r"\b(?:greulich|tanner)\b.{0,60}\b(?:was|were) used|\bmethod of (?:greulich|tanner)\b.{0,20}$",
)

OLDER = r"(?:prior|previous|earlier|old|comparison)"
RECORDS = r"(?:stud(?:y|ies)|cxr|axr|films?|radiographs?|exams?|examinations?|images?|imaging|x-?rays?|comparisons?)"
COMPARES = any_of(
    r"\b(?:reference|comparison) (?:is|was) made (?:to|with)\b|^(?:there (?:is|are) )?no (?:earlier|older)\b",
    rf"\b(?:no|none|nil|without|lack of) (?:relevant |recent |available |other |"
    rf"\w+ of )?{OLDER}s?(?: \w+)? {RECORDS}\b",
    r"\b(?:no|nil|without) (?:relevant |recent |available |other )?(?:prior|previous|"
    r"comparison)s?(?: for (?:direct )?comparison| available| to compare\w*| on (?:file|pacs|record)| here| at hand|"
    r" to hand)?\.?$",
    r"\bno (?:prior|previous|comparison)s?\b[,;]",
    rf"\b{OLDER} (?:\w+ )?{RECORDS}\b.{{0,30}}\b(?:not|un)\s?available|\bnot available for (?:direct )?comparison",
    r"\b(?:not|never) (?:been )?(?:previously|before) (?:been )?(?:imaged|x-?rayed|radiographed|filmed|examined)\b|"
    r"\bfirst (?:ever )?(?:film|study|x-?ray|radiograph|examination|imaging)s? (?:here|at this|with us|on (?:file|"
    r"record|our))",
    rf"\b(?:{OLDER}|outside|external) (?:\w+ )?{RECORDS}\b.{{0,20}}\b(?:(?:not|un|in)[ -]?(?:yet )?(?:retriev\w+|"
    rf"to hand|accessible|obtainable|provided|sent|seen|located|received)|missing|lost|requested|awaited|pending)",
    rf"\b{OLDER} (?:\w+ ){{0,3}}{RECORDS}\b.{{0,40}}\b(?:available|reviewed|consulted|seen|at hand|to hand|"
    rf"on (?:pacs|file|record))\b",
    rf"\b(?:reviewed|read|viewed|seen|interpreted) (?:alongside|together with|along with|in conjunction with|"
    rf"side by side with|against) (?:\w+ ){{0,3}}{RECORDS}\b",
    r"\bserves? (?:for|as) (?:the |a )?(?:comparison|reference|baseline)|\b(?:used|available|obtained|"
    r"reviewed) (?:for|in) comparison",
    r"^(?:in )?comparison\b(?! (?:with|to) the (?:left|right|other|opposite|contralateral|normal)).{0,10}\b(?:is|was|"
    r"made|none|with|to)\b|\bcomparison (?:is|was) (?:made|performed)",
    r"^no comparisons?\b",
    r"^(?:when |as )?compared (?:with|to|against)\b(?! (?:the )?(?:left|right|other|opposite|contralateral|normal))|"
    r"^reference (?:films?|stud(?:y|ies)|imaging)\b",
    r"^(?:on|in) the (?:prior|previous|earlier|last)\b|^(?:the )?(?:initial|first|index|outside) (?:\w+ )?(?:survey|"
    r"study|films?|images?|imaging|radiographs?)\b(?!:).*\b(?:reported|showed|demonstrated|was|were)\b(?!.*\b(?:now|"
    r"has|have|today)\b)",
    r"^(?:this|these|those|it) (?:was|were|measured)\b.*\b(?:in|on) (?:jan(?:uary)?|feb(?:ruary)?|march|"
    r"april|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|(?:19|"
    r"20)\d\d)\b(?!.*\bnow\b)",
    r"^(?:this|that|it|these|those|which) had (?:shown|demonstrated|revealed)\b(?!.*\bnow\b)",
    rf"^(?:the )?(?:prior|previous|earlier|last|most recent) (?:\w+ ){{0,3}}{RECORDS}\b.{{0,30}}(?:dated|of|from|on|"
    rf"in (?:(?:19|20)\d\d|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|\d)",
    r"^(?:none|nil|not available|no priors?)\.?$",
)
STILL_SHOWS = re.compile(
    r"\b(?:is|are|was|were) (?:now |again |slightly |much |clearly )?(?:larger|smaller|less|more|denser|clearer|"
    r"wider|narrower|better|worse|increased|decreased|reduced|similar)\b|,.*\b(?:more|less|larger|smaller|new|denser|"
    r"clearer|better|worse)\b|,.*\b(?:is|are|has|have|there|no|with|shows?|remains?|unchanged|stable|again)\b|"
    r"\b(?:has|have) (?:healed|improved|progressed|resolved|increased|decreased|changed)|\bshows?\b|\bis (?:no|"
    r"unchanged|stable)",
)

# Words that reports have of films and histories hardly ever.
RADIOLOGIC = any_of(
    r"\b(?:lucen|metaphys|physis|physeal|epiphys|apophys|diaphys|cortex|cortical|periosteal|trabecul|angulat|callus|"
    r"comminut|opacit|consolidat|atelecta|silhouette|growth (?:arrest|plate|recovery)|ossific|sclerotic|subluxat|"
    r"uncover)\w*",
    r"^(?!.*\?).*\beffusion",
)
# Without these and anatomy a sentence speaks of no film: 1 in 80 of those below findings in Open-i, most of them
# advice, signatures and notes. `MODIFIERS` alone are enough only below or after findings.
OF_FILMS = any_of(
    r"\b(?:index|angle|percentage|magnet|coin|batter(?:y|ies)|bead|needle|marble|button|unstable|crawford|"
    r"shaft|appos|osteotom|straight|bridg|hardware|loosen|cortex|cortical|punctur|"
    r"bon[ey]|osseous|mineral|deminerali|matur|catheter|tips?\b|lines?\b|tubes?\b|drains?\b|stents?\b|leads?\b|"
    r"clips?\b|sutures?\b|wires?\b|screws?\b|plates?\b|nails?\b|pins?\b|rods?\b|implant|prosthe|staples?\b|"
    r"devices?\b|piercing|contusion|ha?ematoma|ha?emorrhag|articular|inflamm|muscle|soft tissue|fat plane|interosse|"
    r"regenerate|medullary|marrow|foreign|radio-?(?:opa|pa)que|metallic|variant|appearance|configuration|contour|"
    r"matrix|margin|interstitial|vascular|congest|scar|emphysem|copd|chole|lith|granulom|joint|shadow|artefact|"
    r"artifact|patholog|abnormalit|union|non-?union|united|dysmorph|splint|cast\b|plaster|spica|"
    r"in (?:\w+ )?(?:position|alignment|situ)|rays?\b|short|long\b|longer|constellation|films?\b|radiograph|"
    r"stimulator|ratio\b|gas\b|air\b|fluid|gap\b|spac|epiphys|slip)\w*",
    r"\b\w{3,}(?:itis|oma|osis|megaly|physis|dysplasia|malacia|sclerosis|listhesis)\b",
    r"\d ?(?:mm|cm|deg|degrees|%|per ?cent)\b",
    r"\b(?:langenski|ficat|herring|catterall|graf|gartland|risser|lenke|sanders \d|crowe|stulberg|waldenstr|southwick|"
    r"bado|weber|delbet|ogden|kellgren|scurvy|\w+plasia\b|\w+dystroph)",
    r"^(?:this|these|those|it|they|both|here|none|nil|no|nothing|not|without|negative|ditto|same|similar|likewise|"
    r"also|otherwise)\b",
)
# "Ask the fracture clinic": findings that name an office, not a film.
OFFICES = any_of(
    r"\b(?:fracture|trauma|tumou?r|scoliosis|dysplasia|arthritis|spine|hip|hand|foot|knee|bone|joint|chest|growth|"
    r"burns?) (?:clinic|liaison|service|team|call|board|surgeons?|unit|nurse)s?\b|\barthrogra\w+",
)
MODIFIERS = any_of(
    r"\b(?:left|right|bilateral|minimal|mild|moderate|severe|marked|slight|small|large|tiny|subtle|prominent|"
    r"residual|chang|finding|negative|positive|position|seated|locat|project|extend|measur|reduc|anatomic|"
    r"satisfactor|smooth|regular|irregular|sharp|blunt|round|flat|dense|wide|narrow|thin|fus|open|clos|stage|score|"
    r"grade|type|sign|involv|disease|disorder|syndrome|process|shape|loss|side|level|image|status post|s/p)\w*",
)
# A sentence that says what is seen, whatever it says of the child beside it.
STATES = any_of(
    r"^(?!.*\b(?:symptom|clinical|presentation)).*\b(?:consistent|compatible|in keeping) with\b|\b(?:suspicious for|"
    r"suggestive of|suggesting)\b",
    r"^(?:normal|unremarkable|clear)\b|\bnew since\b|\bchanges (?:of|in|at)\b|\bground[- ]glass\b|"
    r"\bin situ\b(?! (?:pinning|fixation))|"
    r"\bat the level of\b|\b(?:projected|projecting|lies|located) over\b|\b(?:lungs?|heart|bones?|joints?|"
    r"chest)\b.{0,12}\b(?:clear|normal|intact)\b|\bin (?:good|satisfactory|unchanged|anatomic\w*|"
    r"near[- ]anatomic\w*) (?:position|alignment|reduction)\b|\bcallus\b|\b(?:plate|screw|nail|wire|pin|rod|hardware|"
    r"metalwork)s?\b.{0,20}\b(?:removed|in place|intact|bent|broken|backed)\b",
    r"\b(?:salter|lisfranc|physeal|joint|ligament\w*|tendon|plate|syndesmo\w*|avulsion|"
    r"maisonneuve)\W(?:\w+\W){0,3}?injur|\bno (?:\w+ ){0,2}injury (?:to|of)\b|\b(?:necrosis|zebra lines?)\b|"
    r"\binjury only\b|\b(?:has|have) (?:now )?(?:united|healed|fused|resolved|improved)\b|\bremoved\b",
    r"\bpost-?\s?(?:operative|surgical|traumatic) (?:change|appearance|deformity|state)s?\b",
    r"\b(?:bones?|lungs?|heart|physes|cortex|cortices|soft tissues?)\b.{0,20}\b(?:is|are|appears?|looks?)\b",
    r"\b(?:is|are|was|were|appears?|looks?|remains?) (?:\w+ly )?(?:flattened|fragmented|sclerotic|dense|widened|"
    r"narrowed|irregular|swollen|enlarged|elongated|shortened|bowed|angulated|expanded|thickened|eroded|collapsed|"
    r"healed|united|fused|ossified|congruent|located|enlocated|reduced|small|large)\b|\bthere (?:is|are|has|was|"
    r"were)\b|\b(?:is|are|was|were) (?:\w+ly )?(?:seen|noted|identified|demonstrated|visuali[sz]ed|present|intact|"
    r"normal|unremarkable|clear|aligned|displaced|preserved|suspected|questioned|suggested|possible|likely)\b",
    r"\b(?:bony|inflammatory|erosive|arthritic|osseous) changes?\b|\b(?:show\w*|demonstrat\w+|reveal\w*|excluded)\b",
    r"^no\b(?! (?:trauma|known|history|injury|fever|pain))|\bno (?:acute|evidence|bony|osseous|fracture|focal|"
    r"definite|radiographic|displaced|dislocation|significant|joint|soft)\b|\bwithin normal limits\b|"
    r"\bunremarkable\b|(?<!neurovascularly )(?<!neurology )(?<!neurologically )\bintact\b|"
    r"\b(?:tuft|body|bodies|vertebrae?|end-?plates?) (?:is |are )?crushed\b",
    r"\b(?:subtle|mild|minor|moderate|marked|significant|large|obvious|definite|tiny|extensive|"
    r"severe)\b.{0,30}\b(?:fracture|effusion|swelling|erosion|narrowing|change|opacit|consolid)",
    r"\b(?:undisplaced|nondisplaced|non-displaced|displaced|transverse|oblique|spiral|buckle|greenstick|linear|"
    r"depressed|tuft|crush|burst|wedge|compression|avulsion|stress|toddler'?s|tripod|triplane|tillaux|torus|hairline|"
    r"pathological|physeal|salter\W?harris|healing|comminuted|impacted|supracondylar|midshaft|mid-shaft|diaphyseal|"
    r"metaphyseal)\b.{0,40}\bfracture",
)
SHOWN = re.compile(r"(?<!to )\b(?:show(?:s|ed|ing|n)?|demonstrat\w+|reveal\w*|confirm(?:s|ed)?|excludes?)\b")
WISHED = re.compile(r"\b(?:recommend|advis|suggest|should|would|could|may|consider)")
