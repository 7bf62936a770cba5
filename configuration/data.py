"""What a recipe may say about its data: where it lies, what its columns are called, how captions are made.

Plain dataclasses, standard library only: the reading is done in processing/data/.
"""

from dataclasses import dataclass, field, fields
from string import Formatter

CAPTION_SOURCES = ("text_or_labels", "text", "labels", "alternating")
CLASS_FOLDERS = ("body_part", "findings")

WINDOWS = ("lung", "bone", "soft_tissue", "percentiles")  # the names that processing/volume_windows_pedclip.py knows


@dataclass(kw_only=True)
class ColumnsConfig:
    """The data's own column names, by what PedCLIP uses them for; None for what the data do not have.

    Only the image column has to exist. A missing patient column makes every image its own patient, and then
    intervals are too narrow where a patient has several images.
    """

    image: str = "file_name"
    text: str | None = "text"
    body_part: str | None = "body_part"
    patient_id: str | None = "patient_id"
    split: str | None = "split"
    findings: str | None = "findings"  # a list, or one string with | or ; between the names

    def __post_init__(self):
        for column in fields(self):
            if getattr(self, column.name) == "":
                raise ValueError(
                    f"data.columns.{column.name} is empty; name a column of the metadata, or null for none"
                )
        if self.image is None:
            raise ValueError("data.columns.image is null; the column with the image's file name has to exist")


@dataclass(kw_only=True)
class SplitsConfig:
    """What the data call their splits, and how big the held-out ones are where the data name none."""

    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    validation_share: float = 0.1  # of the patients, only where there is no split column
    test_share: float = 0.1
    seed: int = 0  # changes which patients those are

    def __post_init__(self):
        names = [self.train, self.validation, self.test]
        if len(set(names)) < len(names):
            raise ValueError(f"data.splits names are {names}; one name for two splits would train on the test set")
        if min(self.validation_share, self.test_share) < 0 or self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"data.splits shares are {self.validation_share} and {self.test_share}; both must be at least 0 "
                "and leave something to train on"
            )


@dataclass(kw_only=True)
class CaptionsConfig:
    """How an image gets its caption. Everything here is ours: the paper trains on report text only.

    With `source: text_or_labels` the order is: the text column; else `findings_templates` filled from the row's
    findings; else `templates` filled from the body part; else the row is skipped and listed. `text` stops after the
    first step, `labels` leaves the first step out. `alternating` goes by batch: the text in `text_share` of them, in
    the others a template, whose few words repeat and so teach a new tower sooner what a finding looks like.
    """

    source: str = "text_or_labels"
    text_share: float = 0.5  # of the batches, with `alternating`
    # {body_part} is the row's body part in words (data.body_part_words)
    templates: list[str] = field(
        default_factory=lambda: [
            "{body_part} x-ray",
            "a radiograph of the {body_part}",
            "x-ray image of the {body_part}",
        ]
    )
    # {findings}: the narrowest names of the row; {broad_findings}: their broader names (`broader`).
    # A template here may leave the findings out, so that the body part alone is learned too.
    findings_templates: list[str] = field(
        default_factory=lambda: [
            "{body_part} x-ray, {findings}",
            "a radiograph of the {body_part} showing {findings}",
            "x-ray image of the {body_part}: {findings}",
        ]
    )
    finding_words: dict[str, str] = field(default_factory=dict)  # a finding's name -> how a caption says it
    broader: dict[str, str] = field(default_factory=dict)  # a narrow finding -> the one that it is a kind of
    left_out: list[str] = field(default_factory=list)  # findings no caption says; * stands for anything

    def __post_init__(self):
        if self.source not in CAPTION_SOURCES:
            raise ValueError(f"data.captions.source is {self.source!r}; choose one of {', '.join(CAPTION_SOURCES)}")
        _check_templates("templates", self.templates, {"body_part"})
        _check_templates("findings_templates", self.findings_templates, {"body_part", "findings", "broad_findings"})
        if not 0 <= self.text_share <= 1:
            raise ValueError(f"data.captions.text_share is {self.text_share}; it is a share, from 0 to 1")
        if self.source in ("labels", "alternating") and not self.templates:
            raise ValueError(f"data.captions.source is {self.source!r} and templates is empty; give at least one")
        for finding in self.broader:
            seen = [finding]
            while (wider := self.broader.get(seen[-1])) is not None:
                if wider in seen:
                    raise ValueError(f"data.captions.broader runs in a circle: {' -> '.join([*seen, wider])}")
                seen.append(wider)


@dataclass(kw_only=True)
class AugmentConfig:
    """How training images are varied. All zero, and so off, unless a recipe says otherwise: the paper names none.

    Ranges are drawn evenly from -x to x; `chance` fields are the probability for one image.
    """

    rotation_degrees: float = 0.0
    scale: float = 0.0  # natural logarithm of the zoom
    aspect: float = 0.0  # natural logarithm: width by it, height by its inverse
    shift: float = 0.0  # of the image's side
    brightness: float = 0.0  # added, of the full range
    contrast: float = 0.0  # natural logarithm of the factor about the image's own mean
    gamma: float = 0.0  # natural logarithm of the exponent
    noise: float = 0.0  # largest standard deviation, of the full range
    blur_chance: float = 0.0
    low_resolution_chance: float = 0.0  # down to 40 - 85 % of the side and up again
    erase_chance: float = 0.0  # one rectangle, 10 - 35 % of each side
    flip_chance: float = 0.0  # left and right; a flipped chest has its heart on the wrong side, so off by default

    def __post_init__(self):
        for setting in fields(self):
            value = getattr(self, setting.name)
            if value < 0:
                raise ValueError(f"data.augment.{setting.name} is {value}; 0 turns it off, below 0 means nothing")
            if setting.name.endswith("_chance") and value > 1:
                raise ValueError(f"data.augment.{setting.name} is {value}; it is a probability, at most 1")
        if self.rotation_degrees > 180:
            raise ValueError(f"data.augment.rotation_degrees is {self.rotation_degrees}; at most 180")
        if self.shift > 0.5:
            raise ValueError(f"data.augment.shift is {self.shift}; more than 0.5 moves the image out of sight")

    @property
    def enabled(self) -> bool:
        return any(getattr(self, setting.name) > 0 for setting in fields(self))


@dataclass(kw_only=True)
class VolumesConfig:
    """How files are read that hold volumes: a DICOM series (a folder), DICOM with frames, NIfTI, TIFF with pages."""

    # lung, bone, soft_tissue, percentiles, or [centre, width]; null: as processing/volume_reading_pedclip.py
    window: str | list | None = None
    spacing: str | None = None  # column with the mm from slice to slice, for TIFF, which does not say it

    def __post_init__(self):
        if isinstance(self.window, str) and self.window not in WINDOWS:
            raise ValueError(
                f"data.volumes.window is {self.window!r}; it is one of {', '.join(WINDOWS)}, or [centre, width]"
            )
        if isinstance(self.window, list):
            numbers = [one for one in self.window if isinstance(one, int | float) and not isinstance(one, bool)]
            if len(self.window) != 2 or len(numbers) != 2 or numbers[1] <= 1:
                raise ValueError(
                    f"data.volumes.window is {self.window}; [centre, width] are two numbers, the width above 1"
                )


@dataclass(kw_only=True)
class DataConfig:
    """The `data:` part of a recipe: one folder of images with its metadata."""

    path: str  # the folder; relative paths count from where the command runs
    # the data sets that it was made from, by their names in processing/data/official/terms.yaml or the owner's own:
    # the card lists them, and publishing the weights asks what their owners allow
    datasets: list[str] = field(default_factory=list)
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    splits: SplitsConfig = field(default_factory=SplitsConfig)
    captions: CaptionsConfig = field(default_factory=CaptionsConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    volumes: VolumesConfig | None = None  # null: each file is one image
    body_part_words: dict[str, str] = field(default_factory=dict)  # the data's name -> words for captions and prompts
    # the data's name -> the model's body part, or null for no expert; goes before processing/data/body_parts.yaml
    body_part_experts: dict[str, str | None] = field(default_factory=dict)
    class_folders: str = "body_part"  # what sub-folders mean in a folder without metadata
    balance: float = 0.0  # body parts are drawn by count ** (1 - balance): 0 as they come, 1 all equally often
    together: str | None = None  # samples equal in this column come in one batch: studies, or pairs sick and healthy
    cache_gib: float = 2.0  # decoded images kept in memory; the rest are decoded at every use

    def __post_init__(self):
        if not self.path:
            raise ValueError("data.path is empty; give the folder that holds the images and metadata.jsonl")
        if self.class_folders not in CLASS_FOLDERS:
            raise ValueError(f"data.class_folders is {self.class_folders!r}; choose one of {', '.join(CLASS_FOLDERS)}")
        if not 0 <= self.balance <= 1:
            raise ValueError(f"data.balance is {self.balance}; it goes from 0 (as they come) to 1 (equally often)")
        if not all(isinstance(name, str) and name.strip() for name in self.datasets):
            raise ValueError(f"data.datasets is {self.datasets}; it is a list of names")
        if self.cache_gib < 0:
            raise ValueError(f"data.cache_gib is {self.cache_gib}; 0 keeps nothing in memory, below 0 means nothing")


def _check_templates(name: str, templates: list[str], allowed: set[str]) -> None:
    for template in templates:
        placeholders = {placeholder for _, placeholder, _, _ in Formatter().parse(template) if placeholder is not None}
        unknown = placeholders - allowed
        if unknown:
            raise ValueError(
                f"data.captions.{name} has {template!r} with {sorted(unknown)}; "
                f"a template there may use {sorted(allowed)}"
            )
