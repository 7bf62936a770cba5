"""What the README shows runs, and prints what it says."""

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from transformers import AutoTokenizer, ViTConfig, ViTModel

from pedclip.auto import PedCLIPImageProcessor, PedCLIPModel, PedCLIPProcessor
from pedclip.cli import parsed

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
IDS = {"vision": "google/vit-base-patch16-224", "text": "emilyalsentzer/Bio_ClinicalBERT"}
XR_HUB = ROOT / "runs" / "xr" / "hub"


def snippet(name: str) -> tuple[str, str | None]:
    """The marked block, and the block of printed output that follows it, if one does."""
    after = README.split(f"<!-- snippet: {name} -->\n", 1)[1]
    code = FENCE.match(after)
    printed = FENCE.match(after[code.end() :].lstrip("\n"))
    return code[2], printed[2] if printed and not printed[1] else None


def printed_here(code: str, namespace: dict | None = None) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {} if namespace is None else namespace)
    return out.getvalue()


def printed_by_a_fresh_process(code: str, namespace: dict | None = None) -> str:
    """Without a network. What goes on from an earlier snippet runs that one again; what it printed is cut off."""
    namespace = {} if namespace is None else namespace
    code = namespace.get("code", "") + code
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": home, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    printed = done.stdout.removeprefix(namespace.get("printed", ""))
    namespace |= {"code": code, "printed": done.stdout}
    return printed


@pytest.fixture(params=["here", pytest.param("fresh", marks=pytest.mark.slow)])
def printed_by(request):
    """What a snippet prints, in this process and, more slowly, in a fresh one."""
    return printed_here if request.param == "here" else printed_by_a_fresh_process


@pytest.fixture
def small_vit(tmp_path) -> Path:
    config = ViTConfig(hidden_size=16, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16)
    ViTModel(config).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


@pytest.fixture
def with_local_towers(small_vit, bert_folder):
    """Puts small local folders in the place of the Hub's ids, which need a network."""

    def replaced(text: str) -> str:
        assert IDS["vision"] in text and IDS["text"] in text
        return text.replace(IDS["vision"], str(small_vit)).replace(IDS["text"], str(bert_folder))

    return replaced


def write_untrained(folder: Path, small_vit: Path, bert_folder: Path) -> PedCLIPModel:
    model = PedCLIPModel.from_vision_text_pretrained(str(small_vit), str(bert_folder))
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(bert_folder)
    PedCLIPProcessor(PedCLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return model


def test_every_python_block_with_a_name_is_run_here():
    named = set(re.findall(r"<!-- snippet: (\w+) -->", README))
    run = set(re.findall(r'snippet\("(\w+)"\)', Path(__file__).read_text(encoding="utf-8")))
    assert named == run


def test_the_pipeline_takes_a_film_of_12_bits(printed_by, tmp_path, bert_folder, small_vit, monkeypatch):
    code, printed = snippet("deep")
    write_untrained(tmp_path / "runs/xr/hub", small_vit, bert_folder)
    monkeypatch.chdir(tmp_path)
    assert printed_by(code) == printed


def test_the_ten_lines_run_and_print_what_the_readme_shows(printed_by, tmp_path, bert_folder, small_vit, monkeypatch):
    (classify, classified), (gate, gated) = snippet("classify"), snippet("gate")
    image = re.search(r'image = "(.+?)"', classify)[1]
    real = XR_HUB.is_dir() and (ROOT / image).is_file()
    if real:
        monkeypatch.chdir(ROOT)
    else:  # without the model of `make xr`: the same lines on a model that has learned nothing
        where = tmp_path / "a" / "checkout"
        model = write_untrained(where / "runs/xr/hub", small_vit, bert_folder)
        monkeypatch.chdir(where)
        Path(image).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((40, 30), np.uint8)).save(image)
    namespace: dict = {}
    now = printed_by(classify, namespace), printed_by(gate, namespace)

    numbers = re.compile(r"\d\.\d+")
    scores = [float(number) for number in numbers.findall(now[0])]
    assert numbers.sub("#", now[0]) == numbers.sub("#", classified)
    assert sum(scores) == pytest.approx(1, abs=2e-3)
    if real:  # another machine's training ends a little elsewhere
        assert scores == pytest.approx([float(number) for number in numbers.findall(classified)], abs=0.1)
        assert now[1] == gated
    else:
        assert {now[1].strip(), gated.strip()} <= set(model.config.body_parts)


def test_the_phantom_snippet_prints_what_the_readme_shows(printed_by, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    code, printed = snippet("phantom")
    assert printed_by(code) == printed


def test_starting_from_two_pretrained_towers_prints_what_the_readme_shows(printed_by, with_local_towers):
    code, printed = snippet("start")
    assert printed_by(with_local_towers(code)) == printed


def test_training_on_a_folder_of_your_own_then_eval_export_and_check(tmp_path, with_local_towers):
    images = tmp_path / "my" / "xrays"
    images.mkdir(parents=True)
    random, rows = np.random.default_rng(0), []
    for number in range(60):
        split = ("train", "train", "validation", "test", "test")[number // 12]
        part = ("chest", "hand")[number % 2]
        Image.fromarray(random.integers(0, 255, (40, 40), dtype=np.uint8)).save(images / f"{number}.png")
        rows.append(f"{number}.png,{part},p{number},{split},a radiograph of the {part}")
    (images / "metadata.csv").write_text("\n".join(["file_name,body_part,patient_id,split,report", *rows]))
    recipe = yaml.safe_load(with_local_towers(snippet("recipe")[0]))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    def run(command: str) -> str:
        done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    commands = [line.split("  #")[0].strip() for line in shell_lines() if "mine" in line or "my-model" in line]
    train = [line for line in commands if line.startswith("python train.py") and "--output" not in line]
    rest = [line for line in commands if line.startswith("pedclip ")]
    assert len(train) == 1 and len(rest) == 4
    # fewer pairs than the README's batch, and one epoch, for a folder of 60 pictures
    quick = "--set epochs=1 --set batch_size=8 --set precision=fp32"
    said = run(train[0].replace("train.py", str(ROOT / "train.py")) + f" {quick}")
    assert 'AutoModel.from_pretrained("runs/mine/hub", trust_remote_code=True)' in said
    for command in rest:
        run(command)
    assert 0 <= json.loads((tmp_path / "results.json").read_text())["value"] <= 1
    assert (tmp_path / "my-model" / "README.md").is_file()


def shell_lines() -> list[str]:
    blocks = [block for language, block in FENCE.findall(README) if language == "bash"]
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_every_command_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text()
    for line in shell_lines():
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        elif words[0] == "pedclip":
            parsed(words[1:])
        else:
            assert words[0] in ("git", "python", "accelerate"), line


def test_the_file_tree_is_true():
    tree = README.split("## What is where\n", 1)[1].split("```")[1]
    named = [line.split()[0] for line in tree.strip().splitlines()]
    assert [name for name in named if not (ROOT / name).exists()] == []
