"""Pairs that count only while nobody else uses the processors; and the processor's own time, which counts at any time.

On a busy machine two sides do not suffer alike: PyTorch's threads wait for each other after every product, ONNX
Runtime's hardly do, and the ratio would say how busy the machine was.
"""

import time
from collections.abc import Callable
from typing import Any

import psutil
import torch
from mobe import Pair, ratios_of, timed

OTHERS = 0.08  # share of all processors that other processes may take during a pair
PATIENCE = 1200.0  # seconds to wait for quiet, for one comparison


class NotQuietError(RuntimeError):
    """Others kept the machine busy for longer than was waited."""


class Watch:
    """What share of all processors other processes took since it was made."""

    def __init__(self) -> None:
        self.started = self._now()

    def _now(self) -> tuple[float, float, float]:
        whole, own = psutil.cpu_times(), psutil.Process().cpu_times()
        # a virtual machine's stolen time is somebody else's too
        busy = sum(getattr(whole, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
        return busy, own.user + own.system, time.perf_counter()

    def others(self) -> float:
        busy, own, seconds = (now - then for now, then in zip(self._now(), self.started, strict=True))
        return (busy - own) / (seconds * (psutil.cpu_count() or 1))


def wait_for_quiet(until: float) -> None:
    """Returns after a quarter of a second in which others took little; NotQuietError where that comes too late."""
    while True:
        watch = Watch()
        time.sleep(0.25)
        if watch.others() <= OTHERS:
            return
        if time.monotonic() > until:
            raise NotQuietError(
                f"other processes took more than {OTHERS:.0%} of the processors for longer than was to be waited; end "
                "them, or raise --patience"
            )


def processor_time(make: Callable[[], Pair], pairs: int) -> dict[str, Any]:
    """As `mobe.measure`, of the time that the processor spent on one thread of each side: others hardly move it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sides = make()
        seconds: list[list[float]] = [[], []]
        for pair in range(pairs + 1):
            for side in (0, 1) if pair % 2 else (1, 0):
                started = time.process_time()
                sides[side]()
                seconds[side].append(time.process_time() - started)
    finally:
        torch.set_num_threads(threads)
    return ratios_of(list(zip(*(side[1:] for side in seconds), strict=True)))  # the first takes memory


def measure_quietly(make: Callable[[], Pair], pairs: int, patience: float = PATIENCE) -> dict[str, Any]:
    """As `mobe.measure`; pairs during which others took more than `OTHERS` are taken again, and counted."""
    ours, theirs = make()
    ours(), theirs()  # memory is taken, code paths are compiled
    seconds: list[tuple[float, float]] = []
    again, until = 0, time.monotonic() + patience
    while len(seconds) < pairs:
        wait_for_quiet(until)
        watch = Watch()
        if len(seconds) % 2:
            later, first = timed(theirs), timed(ours)
        else:
            first, later = timed(ours), timed(theirs)
        if watch.others() <= OTHERS:
            seconds.append((first, later))
        else:
            again += 1
    return {**ratios_of(seconds), "taken_again": again}
