"""`pedclip embed`: the model's own embeddings, one row an image, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from pedclip import PedCLIPModel, PedCLIPProcessor
from pedclip.cli import main
from pedclip.embed import embed_images, embed_texts

TEXTS = ["chest x-ray", "hand x-ray", "a radiograph of the wrist, fracture", "chest x-ray", "normal"]
FILMS = 11


@pytest.fixture
def films(tmp_path) -> Path:
    """Files as a hospital has them: in folders of their own, without a table, one of them broken."""
    folder = tmp_path / "films"
    random = np.random.default_rng(0)
    for number in range(FILMS):
        file = folder / f"year-{number % 2}" / f"film {number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 32 + number), np.uint8)).save(file)
    (folder / "year-0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    return folder


@pytest.fixture
def shards(films, tmp_path) -> Path:
    """The same in shards; what `pedclip data build` would have refused is in them too."""
    folder = tmp_path / "shards" / "data"
    folder.mkdir(parents=True)
    files = sorted(films.rglob("*.png"))
    for number, split in enumerate(("train", "test")):
        own = files[number::2]
        images = [{"bytes": file.read_bytes(), "path": None} for file in own]
        table = pyarrow.table({"image": images, "body_part": ["chest"] * len(own), "name": [f.name for f in own]})
        parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet", row_group_size=3)
    return folder.parent


def table_of(out: Path, kind: str = "images") -> dict[str, list]:
    return pyarrow.concat_tables(map(parquet.read_table, sorted(out.glob(f"{kind}-*.parquet")))).to_pydict()


def contents(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in out.iterdir() if not file.name.endswith(".json")}


@torch.no_grad()
def own_embeds(model_folder: Path, files: list[Path]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model says of each image by itself, by transformers' own names alone."""
    model = PedCLIPModel.from_pretrained(model_folder).eval()
    processor = PedCLIPProcessor.from_pretrained(model_folder)
    found = [model.get_image_features(**processor(images=str(file), return_tensors="pt")) for file in files]
    embeds = torch.cat([torch.nn.functional.normalize(one.pooler_output, dim=-1) for one in found])
    return embeds, torch.cat([one.router_logits[-1].softmax(-1) for one in found])


def test_each_image_has_the_embedding_that_the_model_gives_it_alone(model_folder, films, tmp_path):
    out = tmp_path / "out"
    done = embed_images(model_folder, films, out, batch_size=2, part_rows=4)
    assert (done.rows, done.skipped, done.before, len(done.files)) == (FILMS, 1, 0, 3)
    table = table_of(out)
    assert table["file_name"] == sorted(str(file.relative_to(films)) for file in films.rglob("film*.png"))
    embeds, involvement = own_embeds(model_folder, [films / name for name in table["file_name"]])
    torch.testing.assert_close(torch.tensor(table["image_embeds"]), embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.tensor(table["router_probs"]), involvement, rtol=0, atol=1e-5)
    (skipped,) = map(json.loads, (out / "skipped_rows.jsonl").read_text().splitlines())
    assert skipped["file_name"] == "year-0/broken.png" and "cannot be read" in skipped["reason"]
    settings = json.loads((out / "images.json").read_text())
    assert settings["batch_size"] == 2 and settings["rows"] == FILMS
    assert parquet.read_schema(done.files[0]).metadata[b"model_hash"].decode() == settings["model_hash"]
    assert str(tmp_path) not in settings["model"]


def test_shards_give_the_same_and_a_broken_image_in_them_is_listed(model_folder, films, shards, tmp_path):
    out = tmp_path / "out"
    done = embed_images(model_folder, shards, out, part_rows=4)
    assert (done.rows, done.skipped) == (FILMS, 1)
    table, files = table_of(out), sorted(films.rglob("*.png"))
    good = [file for number in (0, 1) for file in files[number::2] if "broken" not in file.name]
    embeds, _ = own_embeds(model_folder, good)
    torch.testing.assert_close(torch.tensor(table["image_embeds"]), embeds, rtol=0, atol=1e-5)
    assert set(table["split"]) == {"train", "test"} and len(set(table["file_name"])) == FILMS
    assert "cannot be read" in (out / "skipped_rows.jsonl").read_text()
    assert embed_images(model_folder, shards, tmp_path / "test", splits=["test"]).rows == len(files[1::2]) - sum(
        "broken" in file.name for file in files[1::2]
    )


def test_a_part_of_nothing_but_broken_images_is_empty_and_no_reason_to_stop(model_folder, tmp_path):
    folder = tmp_path / "shards" / "data"
    folder.mkdir(parents=True)
    table = pyarrow.table({"image": [{"bytes": b"no image", "path": None}] * 3})
    parquet.write_table(table, folder / "test-00000-of-00001.parquet")
    done = embed_images(model_folder, folder.parent, tmp_path / "out", part_rows=2)
    assert (done.rows, done.skipped) == (0, 3)


def test_killed_at_any_time_it_goes_on_and_ends_with_the_same_files(model_folder, films, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    embed_images(model_folder, films, whole, batch_size=2, part_rows=2)
    command = [sys.executable, "-m", "pedclip", "embed", str(model_folder), str(films), "--out", str(killed)]
    # the second part takes for ever: the kill then falls into the writing of a part and never after the last one
    slow = (
        "import sys, time, pedclip.embedding_parts as parts, pedclip.cli\n"
        "write = parts.write_whole\n"
        "def slowly(target, how):\n"
        "    if '00001' in target.name.split('-of')[0]:\n"
        "        target.with_name(f'.{target.name}.new').write_bytes(b'half a part')\n"
        "        time.sleep(600)\n"
        "    write(target, how)\n"
        "parts.write_whole = slowly\n"
        "sys.exit(pedclip.cli.main(sys.argv[1:]))\n"
    )
    sizes = ["--batch-size", "2", "--part-rows", "2"]
    run = subprocess.Popen([sys.executable, "-c", slow, *command[3:], *sizes], stderr=subprocess.DEVNULL)
    half = killed / ".images-00001-of-00006.parquet.new"
    for _ in range(6000):
        if half.is_file():
            break
        time.sleep(0.1)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert [file.name for file in sorted(killed.glob("*.parquet"))] == ["images-00000-of-00006.parquet"]

    again = embed_images(model_folder, films, killed, batch_size=2, part_rows=2)
    assert (again.before, again.rows) == (2, FILMS)
    assert contents(killed) == contents(whole)
    assert embed_images(model_folder, films, killed, batch_size=2, part_rows=2).before == FILMS


def test_what_would_mix_two_runs_is_refused(model_folder, make_model, films, tmp_path):
    out = tmp_path / "out"
    embed_images(model_folder, films, out, part_rows=4)
    before = contents(out)
    with pytest.raises(ValueError, match=r"other settings \(part_rows\).*another --out"):
        embed_images(model_folder, films, out, part_rows=5)
    (films / "year-0" / "film 0.png").unlink()
    with pytest.raises(ValueError, match="rows, rows_hash"):
        embed_images(model_folder, films, out, part_rows=4)
    other = PedCLIPModel.from_pretrained(model_folder)
    with torch.no_grad():
        other.visual_projection.weight[0, 0] += 1
    other.save_pretrained(model_folder)
    with pytest.raises(ValueError, match="model_hash"):
        embed_images(model_folder, films, out, part_rows=4)
    assert contents(out) == before
    with pytest.raises(FileExistsError, match="something else than embeddings"):
        embed_images(model_folder, films, films)


def test_texts_come_in_their_order_each_with_its_own_embedding(model_folder, tmp_path):
    file, out = tmp_path / "texts.txt", tmp_path / "out"
    file.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    assert embed_texts(model_folder, file, out, batch_size=2, part_rows=3).rows == len(TEXTS)
    table = table_of(out, "texts")
    assert (table["line"], table["text"]) == (list(range(len(TEXTS))), TEXTS)
    model = PedCLIPModel.from_pretrained(model_folder).eval()
    processor = PedCLIPProcessor.from_pretrained(model_folder)
    for text, found in zip(TEXTS, table["text_embeds"], strict=True):
        with torch.no_grad():
            alone = model.get_text_features(**processor(text=text, return_tensors="pt")).pooler_output[0]
        torch.testing.assert_close(torch.tensor(found), alone / alone.norm(), rtol=0, atol=1e-5)
    file.write_text("one\n\ntwo\n")
    with pytest.raises(ValueError, match="line 2 is empty"):
        embed_texts(model_folder, file, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_command_says_where_everything_is(model_folder, films, tmp_path, capsys):
    texts, out = tmp_path / "texts.txt", tmp_path / "out"
    texts.write_text("\n".join(TEXTS))
    command = ["embed", str(model_folder), str(films), "--out", str(out), "--texts", str(texts)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"{FILMS} images in 1 files" in said and f"{len(TEXTS)} texts in 1 files" in said
    assert "1 images skipped" in said and "skipped_rows.jsonl" in said
    assert main(command) == 0
    assert f"{FILMS} of them by an earlier run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ([], "there is nothing to embed"),
        (["--split", "test"], "give DATA too"),
        (["films", "--batch-size", "0"], "batch_size is 0"),
        (["no-such-folder"], "no-such-folder"),
        (["films", "--split", "tset"], "'tset'"),
    ],
)
def test_a_mistake_is_one_clear_line_and_leaves_nothing(
    model_folder, films, tmp_path, capsys, monkeypatch, further, said
):
    monkeypatch.chdir(tmp_path)
    assert main(["embed", str(model_folder), *further, "--out", "out"]) == 2
    shown = capsys.readouterr().err.strip().splitlines()[-1]
    assert shown.startswith("pedclip embed: ") and said in shown
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
