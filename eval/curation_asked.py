"""Labelled studies through an engine, each compared with its truth."""

import asyncio
from collections.abc import Sequence

from tqdm.auto import tqdm

from ..processing.curation.engines.language import Chat, LanguageEngine
from ..processing.curation.labelled import LabelledStudy
from ..processing.curation.measure import StudyCounts, compare
from ..processing.curation.triplets import Answered, answered, answered_by_rules


def by_rules(labelled: Sequence[LabelledStudy]) -> list[StudyCounts]:
    """What the rules say of each study, counted."""
    bar = tqdm(labelled, desc="studies", unit="study")
    return [_counts(one, answered_by_rules([one.study])[0]) for one in bar]


async def by_asking(
    labelled: Sequence[LabelledStudy], chat: Chat, engine: LanguageEngine, in_flight: int
) -> list[StudyCounts]:
    """The same of a model, `in_flight` studies at a time; the rules answer where it gives up, and are counted so.

    Raises OSError where nobody answers any more; with a cache, the answers that came are not asked for again.
    """
    gate = asyncio.Semaphore(in_flight)
    bar = tqdm(total=len(labelled), desc="studies", unit="study")

    async def one(study: LabelledStudy) -> StudyCounts:
        async with gate:
            counts = _counts(study, await answered(study.study, engine))
        bar.update()
        return counts

    try:
        async with chat, asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(study)) for study in labelled]
    except* (OSError, ValueError, ImportError) as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    finally:
        bar.close()
    return [task.result() for task in tasks]


def _counts(labelled: LabelledStudy, answer: Answered) -> StudyCounts:
    return compare(labelled, answer.sentences, answer.assignment, answer.provenance.fallback)
