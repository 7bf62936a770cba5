"""Guards the packaging: what is built is what lies in the folders, under the name `pedclip` alone."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE_DIR = PYPROJECT["tool"]["setuptools"]["package-dir"]
MAPPED = {name: folder for name, folder in PACKAGE_DIR.items() if folder != "."}
IN_CHECKOUT = ["train.py", "model_card.md", "LICENSE"]
SUFFIXES = {".py", ".yaml", ".json", ".png", ".txt", ".js", ".css"}
EXTRAS = ("sklearn", "skimage", "matplotlib", "tensorboard", "datasets", "evaluate", "peft")


def packaged_files() -> set[str]:
    """The files that belong into the wheel, by their names there."""
    mapped = {
        f"{name.replace('.', '/')}/{path.name}"
        for name, folder in MAPPED.items()
        for path in (ROOT / folder).iterdir()
        if path.suffix in SUFFIXES
    }
    return mapped | {f"pedclip/checkout/{name}" for name in IN_CHECKOUT}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source distribution of a copy of this checkout, built without a network."""
    copy = tmp_path_factory.mktemp("checkout")
    tops = {Path(folder).parts[0] for folder in MAPPED.values()}
    for top in tops:
        shutil.copytree(ROOT / top, copy / top, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*IN_CHECKOUT, "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    (copy / "notes.md").write_text("must not be packaged")
    out = tmp_path_factory.mktemp("dist")
    build = "import sys, setuptools.build_meta as b; out = sys.argv[1]; b.build_wheel(out); b.build_sdist(out)"
    done = subprocess.run([sys.executable, "-c", build, str(out)], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_the_list_of_packages_is_what_lies_on_disk():
    tops = {Path(folder).parts[0] for folder in MAPPED.values()}
    on_disk = {
        str(path.parent.relative_to(ROOT))
        for top in tops
        for path in (ROOT / top).rglob("*")
        if path.suffix in SUFFIXES
    }
    assert set(MAPPED.values()) == on_disk
    assert sorted(PYPROJECT["tool"]["setuptools"]["packages"]) == sorted(PACKAGE_DIR)
    for name, folder in MAPPED.items():
        assert name.removeprefix("pedclip.").replace(".", "/") == folder


def test_the_wheel_holds_every_mapped_file_and_no_other_top_level_name(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    of_package = {name for name in names if name.startswith("pedclip/")}
    assert of_package == packaged_files()
    assert {name.split("/")[0] for name in names - of_package} == {
        f"pedclip-{PYPROJECT['project']['version']}.dist-info"
    }


def test_the_source_distribution_holds_what_the_wheel_is_built_from(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    for name in packaged_files():
        package, _, file = name.rpartition("/")
        folder = PACKAGE_DIR[package.replace("/", ".")]
        assert (file if folder == "." else f"{folder}/{file}") in names
    assert "notes.md" not in names


def test_an_installed_copy_finds_its_own_files(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    probe = """
import sys
sys.path.insert(0, sys.argv[1])
import pedclip, pedclip.card, pedclip.train
print(pedclip.PedCLIPConfig.__module__, sys.modules["pedclip.configuration.configuration_pedclip"].__file__)
print(pedclip.train.__file__)
print(pedclip.card.checkout_file("model_card.md"))
print(pedclip.card.checkout_file("LICENSE"))
"""
    done = subprocess.run([sys.executable, "-I", "-c", probe, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("pedclip.configuration.configuration_pedclip ")
    assert all(str(tmp_path / "pedclip") in line for line in lines)


def modules_after(code: str) -> set[str]:
    """Top-level names imported by `code` in a new interpreter."""
    probe = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    )


def test_import_pedclip_waits_with_torch():
    assert not {"torch", "transformers", "numpy"} & modules_after("import pedclip")


def test_the_public_classes_need_no_extra():
    without = "".join(f"sys.modules[{name!r}] = None\n" for name in EXTRAS)  # as if it were not installed
    assert "torch" in modules_after(f"{without}import pedclip\nfor name in pedclip.__all__: getattr(pedclip, name)")


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(ImportError, match="PedClip"):
        from pedclip import PedClip  # noqa: F401


def test_the_version_is_the_same_everywhere():
    tree = ast.parse((ROOT / "pedclip" / "__init__.py").read_text(encoding="utf-8"))
    (in_code,) = [
        node.value.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__version__"
    ]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PYPROJECT["project"]["version"] == in_code == citation["version"]


def test_every_direct_dependency_is_pinned():
    project = PYPROJECT["project"]
    asked = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    names = {re.match(r"[\w-]+", requirement).group().lower() for requirement in asked} - {"pedclip"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if re.fullmatch(r"[\w-]+==[\w.]+", line)}
    assert names == pinned
    assert "torch==2.13.0" in lines


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_installs_once(tmp_path):
    def planned(stamp_age: float) -> str:
        inputs = max((ROOT / name).stat().st_mtime for name in ("pyproject.toml", "constraints.txt"))
        stamp = tmp_path / "installed"
        stamp.touch()
        os.utime(stamp, (inputs + stamp_age, inputs + stamp_age))
        command = ["make", "--dry-run", f"VENV={tmp_path}", f"PYTHON={sys.executable}", "test"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "pip install" in planned(stamp_age=-1)
    assert "pip install" not in planned(stamp_age=+1)
    assert "pytest" in planned(stamp_age=+1)
