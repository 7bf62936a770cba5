"""The table: eleven tasks of the paper, and the rows beside them. A new task is one row, and at most one function."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .asked import Answer, Asked
from .zero_shot import zero_shot


@dataclass(frozen=True)
class BenchTask:
    """A row: `method(asked, prompts_file)` on one official data set."""

    name: str
    title: str
    data_set: str  # a reader of processing/data/official, and the name of its folder in the data root
    method: Callable[[Asked, Path], Answer]
    of_the_paper: bool = True  # one of the eleven
    paper: float | None = None  # what the paper prints for PedCLIP, in the entry's unit
    lower_is_better: bool = False


def _asks(entry: str) -> Callable[[Asked, Path], Answer]:
    return lambda asked, prompts: zero_shot(asked, entry, prompts)


TASKS = {
    task.name: task
    for task in (
        BenchTask("zero-shot-vindr-pcxr", "Zero-shot, Pedi-CXR", "vindr-pcxr", _asks("vindr-pcxr"), paper=0.608),
        BenchTask("zero-shot-chd-cxr", "Zero-shot, CHD-CXR", "chd-cxr", _asks("chd-cxr"), paper=0.639),
        BenchTask("zero-shot-arthritis", "Zero-shot, arthritis", "arthritis", _asks("arthritis"), paper=0.519),
        BenchTask("zero-shot-grazpedwri-dx", "Zero-shot, wrist", "grazpedwri-dx", _asks("grazpedwri-dx"), paper=0.760),
    )
}
