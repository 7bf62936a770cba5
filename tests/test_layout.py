"""Guards the tree: imports point down, and the files that go to the Hub import only what a stranger has."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("configuration", "modeling_pedclip", "processing", "eval", "pedclip")
SOURCES = sorted([ROOT / "train.py", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))])
HUB_FILES = [path for path in SOURCES if path.name.endswith("_pedclip.py")]

# Who may import whom. `auto` stands for the public names of `pedclip` too.
LOWER = {"configuration", "modeling_pedclip", "processing"}
MAY_IMPORT = {
    "configuration": {"configuration"},
    "modeling_pedclip": {"configuration", "modeling_pedclip"},
    "processing": {"configuration", "processing"},
    "__init__": {*LOWER, "auto"},
    "auto": LOWER,
    "samples": {"processing", "auto"},
    "card": {*LOWER, "auto", "samples"},
    "card_results": {"eval"},
    "card_training": {"configuration", "processing", "card"},
    "publishing": {"processing", "samples"},
    "fingerprint": set(),
    "handler": set(),
    "fresh_process": set(),
    "check": {"processing", "card", "publishing"},
    "hub": {*LOWER, "auto", "card", "fingerprint", "publishing", "samples"},
    "push": {"card", "check", "publishing", "samples"},
    "eval": {*LOWER, "auto", "eval"},
    "run_folder": {"configuration"},
    "optimizer": {"configuration", "modeling_pedclip"},
    "meter": {"auto"},
    "train": {*LOWER, "auto", "card_training", "hub", "eval", "run_folder", "optimizer", "meter"},
    "demo": {*LOWER, "card", "card_results", "eval", "hub"},
    "data_build_report": {*LOWER, "eval"},
    "curate_command": LOWER,
    "curate_eval_command": {*LOWER, "curate_command", "eval"},
    "curate_review_command": {*LOWER, "eval", "explain_command"},
    "data_command": {*LOWER, "data_build_report"},
    "explain_command": {"eval", "samples"},
    "push_command": {"push"},
    "bench_command": {"eval"},
    "onnx_export": {"auto", "eval", "hub"},
    "onnx_command": {"onnx_export"},
    "embedding_parts": set(),
    "embed": {*LOWER, "auto", "eval", "hub", "embedding_parts"},
    "embed_command": {"embed"},
    "cli": {
        *LOWER,
        "auto",
        "card_results",
        "check",
        "hub",
        "eval",
        "bench_command",
        "curate_command",
        "curate_eval_command",
        "curate_review_command",
        "data_command",
        "embed_command",
        "explain_command",
        "onnx_command",
        "push_command",
    },
}
# Hub files may import these wherever they lie; transformers itself brings huggingface_hub and numpy along.
HUB_PACKAGES = {"torch", "transformers", "huggingface_hub"}
HUB_PROCESSING_PACKAGES = {*HUB_PACKAGES, "numpy", "PIL"}
HUB_OPTIONAL = {  # in a try: who has no DICOM files needs no pydicom
    "dicom_pedclip.py": {"pydicom"},
    "dicom_series_pedclip.py": {"pydicom"},
    "dicom_slices_pedclip.py": {"pydicom"},
    "volume_reading_pedclip.py": {"nibabel"},
}
# transformers reads a Hub file's relative imports with this, docstrings and comments included.
LOADER_RELATIVE_IMPORT = re.compile(r"^\s*(?:from\s+(\.\S*)\s+import|import\s+(\.\S+))", flags=re.MULTILINE)


def place(path: Path) -> tuple[str, ...]:
    """The module's name below `pedclip`: ("processing", "data", "folder") or ("hub",)."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[1:] if parts[0] == "pedclip" else parts


def imports(path: Path) -> list[tuple[int, str]]:
    """Every import of a file, inside functions too, as (line, full name); its own package's begin with `pedclip.`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ["pedclip", *place(path)][: -node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            # `from pedclip import X` may name a module as well as an object, so X counts
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found


def layer(name: str) -> str | None:
    """The first name below `pedclip` that an import reaches, or None for somebody else's package."""
    parts = name.split(".")
    if parts[0] != "pedclip":
        return None
    known = len(parts) > 1 and (parts[1] in MAY_IMPORT)
    return parts[1] if known else "auto"


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_point_down():
    wrong = []
    for path in SOURCES:
        allowed = MAY_IMPORT[place(path)[0]]
        for line, name in imports(path):
            reached = layer(name)
            if reached is not None and reached not in allowed:
                wrong.append(f"{shown(path)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", HUB_FILES, ids=lambda path: path.name)
def test_hub_files_import_only_what_a_stranger_has(path):
    allowed = HUB_PROCESSING_PACKAGES if place(path)[0] == "processing" else HUB_PACKAGES
    allowed = allowed | HUB_OPTIONAL.get(path.name, set())
    for line, name in imports(path):
        top, *rest = name.split(".")
        where = f"{shown(path)}:{line} imports {name}"
        if top == "pedclip":
            assert any(part.endswith("_pedclip") for part in rest[1:]), f"{where}, which does not go to the Hub"
        else:
            assert top in allowed or top in sys.stdlib_module_names, f"{where}, which a stranger would have to install"


@pytest.mark.parametrize("path", HUB_FILES, ids=lambda path: path.name)
def test_hub_files_import_each_other_in_the_one_form_that_flattens(path):
    """`from ..folder.file_pedclip import X` across folders, `from .file_pedclip import X` inside one, at the top."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    for node in relative:
        written = "." * node.level + (node.module or "")
        form = r"\.\w+_pedclip" if node.level == 1 else r"\.\.\w+\.\w+_pedclip"
        assert re.fullmatch(form, written), f"{shown(path)}:{node.lineno} writes from {written} import ..."
        assert node in tree.body, f"{shown(path)}:{node.lineno} imports {written} below the top level"
    assert len(LOADER_RELATIVE_IMPORT.findall(source)) == len(relative), (
        f"{shown(path)} shows a relative import in a docstring or comment; the Hub's loader would follow it"
    )


def test_hub_files_lie_in_the_three_folders_that_are_copied_and_have_different_names():
    outside = [shown(path) for path in HUB_FILES if path.parent.parent != ROOT or path.parent.name not in LOWER]
    repeated = [name for name, count in Counter(path.name for path in HUB_FILES).items() if count > 1]
    assert HUB_FILES
    assert not outside
    assert not repeated


def test_no_file_outgrows_its_reader():
    limits = {"modeling_pedclip.py": 800}
    long = {
        shown(path): lines
        for path in SOURCES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > limits.get(path.name, 400)
    }
    assert not long


def test_files_are_named_after_what_they_know():
    tests = sorted((ROOT / "tests").rglob("*.py"))
    assert not [shown(path) for path in (*SOURCES, *tests) if path.stem in {"utils", "helpers", "common"}]


@pytest.mark.parametrize(
    ("where", "line", "reached"),
    [
        ("eval/tasks.py", "import pedclip.train", "train"),
        ("eval/tasks.py", "from pedclip import train", "train"),
        ("eval/tasks.py", "from .. import train", "train"),
        ("configuration/x.py", "def f():\n    from ..eval.tasks import TASKS", "eval"),
        ("processing/data/x.py", "from ...modeling_pedclip.mobe_pedclip import PedCLIPMoBE", "modeling_pedclip"),
        ("pedclip/hub.py", "from .cli import main", "cli"),
        ("pedclip/hub.py", "from pedclip import PedCLIPModel", "auto"),
        ("train.py", "import torch.nn", None),
    ],
)
def test_the_guard_sees_every_form_of_an_import(tmp_path, monkeypatch, where, line, reached):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line)
    assert [layer(name) for _, name in imports(path)] == [reached]
