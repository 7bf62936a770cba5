"""`pedclip data check`: what a download holds, against what was published."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..sample import Sample
from .readers import official_reader
from .reading import split_hash
from .terms import terms_of

SHOWN = 5  # missing files


@dataclass(frozen=True)
class CheckReport:
    """What was found, in words, and whether it is all there."""

    text: str
    missing: list[str]
    complete: bool


def check_folder(name: str, folder: Path) -> CheckReport:
    """Reads the folder as the data set; errors of the readers say what is wrong with it."""
    official = official_reader(name)
    reading = official.read(folder)
    samples = reading.samples
    found = counts_of(samples)
    lines = [f"{official.title} in {folder}", "", f"{'':<34}{'here':>9}{'published':>11}"]
    differ = False
    for title, published in official.counts.items():
        here = sum(found.get(part.strip(), 0) for part in title.split("+")) if title in found or "+" in title else None
        if here is None:
            lines.append(f"  {title:<32}{'-':>9}{published:>11,}")
            continue
        mark = "" if here == published else "   differs"
        differ |= here != published
        lines.append(f"  {title:<32}{here:>9,}{published:>11,}{mark}")
    for title, count in found.items():
        if title not in official.counts:
            lines.append(f"  {title:<32}{count:>9,}")
    lines += ["", f"missing files: {len(reading.missing)}", *(f"  {one}" for one in reading.missing[:SHOWN])]
    if len(reading.missing) > SHOWN:
        lines.append(f"  and {len(reading.missing) - SHOWN} more; --list-missing prints them")
    lines += [f"note: {note}" for note in reading.notes]
    terms = terms_of(name)
    lines += [
        "",
        f"split: {official.split_rule}; hash {split_hash(samples)}",
        f"licence: {terms.licence}; {terms.terms}",
        f"may be sent to a remote server: {terms.may_send_to_remote}; weights may be published: "
        f"{terms.may_publish_weights}",
    ]
    if reading.missing:
        lines += ["", "expected:", official.tree]
    return CheckReport("\n".join(lines), reading.missing, not reading.missing and not differ)


def counts_of(samples: list[Sample]) -> dict[str, int]:
    """Images, patients, splits, findings, and what else a sample may carry, by their names."""
    found = {"images": len(samples), "patients": len({sample.patient_id for sample in samples})}
    splits = Counter(str(sample.split) for sample in samples)
    found |= {split: splits[split] for split in ("train", "validation", "test") if splits[split]}
    found |= dict(Counter(name for sample in samples for name in sample.findings).most_common())
    for title, has in (
        ("images with boxes", lambda one: one.boxes),
        ("images with masks", lambda one: one.masks),
        ("images with an age", lambda one: one.age_months is not None),
        ("images with a sex", lambda one: one.sex is not None),
        ("images with a bone age", lambda one: one.bone_age_months is not None),
    ):
        count = sum(bool(has(sample)) for sample in samples)
        if count:
            found[title] = count
    return found
