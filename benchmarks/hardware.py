"""What a result was measured on: every file in results/ carries it."""

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy
import torch


def described() -> dict[str, Any]:
    """Processor, GPU if there is one, versions, and the commit, marked where files of the project differ from it."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
        "commit": commit,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__},
    }


def peak_of_this_process() -> float:
    """MiB that this process held at its most. Not `ru_maxrss`, which begins with what the parent process held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return round(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024, 1)  # type: ignore[index]
