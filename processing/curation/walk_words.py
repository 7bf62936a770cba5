"""The words by which walk.py tells of how much of a report, and of which of its films, a sentence speaks."""

import re

LABEL = re.compile(r"\s*([^:;.]{1,60}?)\s*:\s+(?=\S)")
ALL_PARTS = re.compile(
    r"\b(?:all|each|every|both|either|neither|any of|none of|the (?:two|three|four)|these)\b (?:of )?(?:the |these )?"
    r"(?:\w+ ){0,2}?(?:joint|part|region|study|studies|film|radiograph|x-?ray|view|area|site|image|examination|exam|"
    r"body part|segment|bone|place)s?\b|"
    r"\b(?:everything|all|anything) (?:that )?(?:was |is |were )?(?:filmed|imaged|shown|covered)\b",
    re.IGNORECASE,
)
EVERYWHERE = re.compile(
    r"\b(?:no|without)\b.*\b(?:acute|focal|suspicious|aggressive|destructive|other|osseous|bony|bone|skeletal|fractures?)\b|"
    r"\b(?:soft tissues|bone density|mineralization|mineralisation|osseous|bony|bones|skeleton)\b",
    re.IGNORECASE,
)
# A general sentence of bones that means all films, wherever it stands in running text.
THROUGHOUT = re.compile(
    r"\b(?:throughout|(?:at )?(?:all|every|any) levels?|diffusely|generali[sz]ed|globally)\b",
    re.IGNORECASE,
)
GENERAL = re.compile(
    r"\b(?:bones?|osseous|bony|skelet\w+|minerali[sz]ation|density|osteopeni\w+|soft tissues?|alignment)\b",
    re.IGNORECASE,
)
BONES = re.compile(r"\b(?:bones?|osseous|bony|skelet\w+)\b", re.IGNORECASE)
# "In the left knee, ...", "The chest shows ...": what is named there is where all the rest of the sentence lies.
FRAME = re.compile(
    r"(?:(?:in|on|at|for|regarding|concerning) [^,;:]{3,80}(?=,)|"
    r"(?:in|on|at) the (?:(?! (?:and|but|while|there) )[^,;:]){3,30}?(?= (?:there|the|an?|no) (?!.*\b(?:and|but|"
    r"while|whereas) ))|"
    r"[^,;:]{3,80}?\b(?=(?:shows?|demonstrates?|reveals?|exhibits?|displays?)\b)|[^;:]{3,80}(?=: ))",
    re.IGNORECASE,
)
# "... is seen on the spine film": what else is named lies there.
ON_FILM = re.compile(
    r"\bon the (?:\w+[- ]){0,2}?\w+ (?:film|radiograph|image|view|projection|part|portion|x-?ray)s?\b|"
    r"^on the lateral \w+ ",
    re.IGNORECASE,
)
CLAUSE = re.compile(r"[,;] |\b(?:and|but|while|whereas)\b")
NOT_IN_VIEW = re.compile(
    r"\bnot (?:fully |completely |entirely )?(?:included|imaged|in view|covered|shown|filmed)\b|\boutside the", re.I
)
DENIES = re.compile(
    r"\b(?:no|not|without|negative|normal|unremarkable|intact|clear|preserved|nil|absent|free of|within normal)\b",
    re.IGNORECASE,
)
PLAIN = frozenset(  # words that tell nothing of a finding
    "there which these those where about above below described findings finding small large moderate minor slight "
    "severe marked minimal possible probable likely appearance appearances consistent compatible suggestive suggest "
    "keeping with change changes evidence acute seen other study normal abnormality abnormal noted significant".split()
)
BOTH_SIDES = re.compile(
    r"^(?!.*\b(?:space|compartment|cort|condyle|margin)).*\b(?:(?:on|at) )?(?:either|both) sides?\b|\bbilaterally\b",
    re.IGNORECASE,
)
SIDE_TITLE = re.compile(
    r"\W*(?:on )?(?:the )?(left|right|lt|rt|l|r)\b\.?(?:[- ](?:sided?|hand side))?\W*", re.IGNORECASE
)
