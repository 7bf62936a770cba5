"""What a result was measured on: every file in results/ carries it."""

import os
import platform
import subprocess
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
