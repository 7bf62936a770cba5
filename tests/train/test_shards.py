"""Training from shards: the same samples as from the folder, each once an epoch, and the same after a stop."""

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet
from torch.utils.data import DataLoader

import pedclip.train as training
from pedclip.configuration.data import DataConfig
from pedclip.configuration.training import load_recipe
from pedclip.processing.data.batches import BLOCKS_AT_ONCE, PairBatches
from pedclip.processing.data.dataset import PairCollator, PairDataset
from pedclip.processing.data.sample import Sample
from pedclip.processing.data.samples import image_bytes, read_samples
from pedclip.processing.data.shards import ShardSamples, holds_shards
from pedclip.train import ShareOfBatches

SHARDS, ROWS_IN_A_GROUP = 3, 3


@pytest.fixture(scope="session")
def shard_folder(image_folder, tmp_path_factory) -> Path:
    """The pictures of the folder, in the layout that `datasets` writes."""
    folder = tmp_path_factory.mktemp("shards")
    rows = [json.loads(line) for line in (image_folder / "metadata.jsonl").read_text().splitlines()]
    for split in ("train", "validation"):
        of_split = [row for row in rows if row["split"] == split and row["file_name"] != "broken.png"]
        for number in range(SHARDS):
            part = of_split[number::SHARDS]
            table = pyarrow.table(
                {
                    "image": [{"bytes": (image_folder / row["file_name"]).read_bytes(), "path": None} for row in part],
                    **{name: [row[name] for row in part] for name in ("body_part", "patient_id")},
                    "findings": [["pneumonia"] if row["body_part"] == "chest" else [] for row in part],
                }
            )
            path = folder / "data" / f"{split}-{number:05}-of-{SHARDS:05}.parquet"
            path.parent.mkdir(exist_ok=True)
            parquet.write_table(table, path, row_group_size=ROWS_IN_A_GROUP)
    return folder


@pytest.fixture
def shard_recipe(recipe, shard_folder):
    return load_recipe(recipe, [f"data.path={shard_folder}"])


def test_a_shards_samples_are_those_of_the_folder(shard_folder, image_folder):
    streamed = read_samples(DataConfig(path=str(shard_folder)), split="train")
    plain = {sample.patient_id: sample for sample in read_samples(DataConfig(path=str(image_folder)), split="train")}
    assert isinstance(streamed, ShardSamples) and len(streamed) == len(plain) == 24
    for index, sample in enumerate(streamed):
        same = plain[sample.patient_id]
        assert (sample.body_part, sample.split) == (same.body_part, "train")
        assert sample.findings == (("pneumonia",) if same.body_part == "chest" else ())
        assert image_bytes(streamed, index) == same.path.read_bytes()
    assert streamed[-1:] == [streamed[23]]
    assert len({sample.file_name for sample in streamed}) == 24


def test_rows_without_a_caption_are_skipped_and_listed(shard_folder, tmp_path):
    config = DataConfig(path=str(shard_folder))
    config.captions.templates = []
    config.captions.findings_templates = ["{findings}"]
    listed = tmp_path / "skipped.jsonl"
    samples = read_samples(config, split="train", skipped_file=listed)
    assert {sample.body_part for sample in samples} == {"chest"}
    assert len(samples) + len(listed.read_text().splitlines()) == 24
    assert len(read_samples(config, split="train", need_caption=False)) == 24
    everything = read_samples(DataConfig(path=str(shard_folder)), split="train")
    contents = {sample.patient_id: everything.content(index) for index, sample in enumerate(everything)}
    assert all(samples.content(index) == contents[sample.patient_id] for index, sample in enumerate(samples))


def samples_in_blocks(count: int, block: int) -> tuple[list[Sample], np.ndarray]:
    parts = ["chest" if number % 5 else "hand" for number in range(count)]
    return [Sample(Path(str(n)), str(n), part, "p", "train") for n, part in enumerate(parts)], np.arange(
        count
    ) // block


def test_an_epoch_takes_every_sample_once_and_reads_few_blocks_at_a_time():
    samples, blocks = samples_in_blocks(4000, 50)
    batches = PairBatches(samples, batch_size=40, seed=0, blocks=blocks)
    epochs = []
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        epochs.append([pick.sample_index for batch in batches for pick in batch])
        assert sorted(epochs[-1]) == list(range(4000))
        for first in range(0, 4000, 400):  # 8 blocks of 50
            assert len(set(blocks[epochs[-1][first : first + 400]])) == BLOCKS_AT_ONCE
    assert epochs[0] != epochs[1]
    assert len(set(blocks[epochs[0][:40]])) > 4  # a batch is a mixture of its blocks


def test_balance_and_groups_hold_in_blocks_too():
    samples, blocks = samples_in_blocks(1000, 50)
    balanced = PairBatches(samples, batch_size=40, seed=0, balance=1.0, blocks=blocks)
    counts = Counter(samples[pick.sample_index].body_part for batch in balanced for pick in batch)
    assert counts["hand"] == pytest.approx(500, abs=10) and counts.total() == 1000  # of 200 hands and 800 chests
    for number, sample in enumerate(samples):
        samples[number] = Sample(**{**vars(sample), "row": {"pair": number // 2}})
    paired = PairBatches(samples, batch_size=40, seed=0, together="pair", blocks=blocks)
    for batch in paired:
        assert set(Counter(pick.sample_index // 2 for pick in batch).values()) == {2}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_of_two_processes_sees_every_sample_exactly_once(shard_folder, shard_recipe, workers):
    config = shard_recipe
    samples = ShardSamples(config.data, "train")
    model = training.build_model(config.model)
    processor = training.build_processor(config, 16)
    dataset = PairDataset(samples, processor, config.data, model.config.body_parts)
    batches = PairBatches(samples, 4, seed=0, blocks=samples.blocks)
    collate = PairCollator(processor, config.data)

    def patients(items):
        return [item.sample.patient_id for item in items], collate(items)["pixel_values"]

    def seen(first_batch: int, until: int) -> list[tuple[str, bytes]]:
        found = []
        for rank in range(2):
            share = ShareOfBatches(batches, rank, processes=2)
            share.first_batch = first_batch
            loader = DataLoader(dataset, batch_sampler=share, collate_fn=patients, num_workers=workers)
            for number, (names, pixels) in enumerate(loader, first_batch):
                if number == until:
                    break
                found += [(name, picture.numpy().tobytes()) for name, picture in zip(names, pixels, strict=True)]
        return found

    whole = dict(seen(0, 6))
    before, after = seen(0, 2), seen(2, 6)  # stopped after two batches
    assert sorted(name for name, _ in before + after) == sorted(sample.patient_id for sample in samples)
    assert dict(before + after) == whole


def test_a_run_on_shards_that_was_stopped_within_an_epoch_is_bit_equal(shard_recipe, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    real_save = training.save_checkpoint

    def save_then_die(accelerator, target):
        real_save(accelerator, target)
        raise Killed

    torch.set_num_threads(1)
    shard_recipe.epochs, shard_recipe.output = 2, str(tmp_path / "whole")
    whole = training.train(shard_recipe)
    shard_recipe.output = str(tmp_path / "stopped")
    monkeypatch.setattr(training, "save_checkpoint", save_then_die)  # the first comes after step 2 of 3
    with pytest.raises(Killed):
        training.train(shard_recipe)
    monkeypatch.setattr(training, "save_checkpoint", real_save)
    resumed = training.train(shard_recipe)
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_incomplete_and_foreign_shards_are_refused(shard_folder, image_folder, tmp_path):
    assert not holds_shards(str(image_folder)) and holds_shards(str(shard_folder))
    with pytest.raises(ValueError, match="no shards of split 'test'; there are train, validation"):
        read_samples(DataConfig(path=str(shard_folder)), split="test")
    some = tmp_path / "some"
    (some / "data").mkdir(parents=True)
    for file in sorted((shard_folder / "data").glob("train-*"))[:2]:
        (some / "data" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match=r"2 shards of split 'train' and their names say \[3\]"):
        read_samples(DataConfig(path=str(some)), split="train")
    parquet.write_table(pyarrow.table({"picture": [b""]}), tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match="has no column 'image'; its columns are"):
        read_samples(DataConfig(path=str(tmp_path)), split="train")
    with pytest.raises(ValueError, match="somebody/radiographs is no folder here, and as a data set of the"):
        read_samples(DataConfig(path="somebody/radiographs"), split="train")


FROM_THE_HUB = """
import sys
from pedclip.configuration.data import DataConfig
from pedclip.processing.data.samples import read_samples
samples = read_samples(DataConfig(path="somebody/radiographs"), split="train")
print(len(samples), sum(len(samples.content(index)) for index in range(len(samples))))
"""


def test_shards_are_read_from_the_hub_by_their_id(shard_folder, tmp_path):
    """Through huggingface_hub's own client, from a server of this test: it is not the real Hub."""
    files = {str(path.relative_to(shard_folder)): path for path in sorted(shard_folder.rglob("*.parquet"))}
    ranges = []

    class Hub(BaseHTTPRequestHandler):
        def answer(self, content: bytes, status: int = 200, **headers):
            self.send_response(status)
            for name, value in {"Content-Length": len(content), **headers}.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def entries(self, wanted=None):
            names = files if wanted is None else [name for name in files if name in wanted]
            found = [
                {"type": "file", "path": name, "size": files[name].stat().st_size, "oid": "0" * 40} for name in names
            ]
            if wanted is None or "data" in wanted:
                found.append({"type": "directory", "path": "data", "oid": "1" * 40})
            return found

        def do_GET(self):
            path = unquote(urlparse(self.path).path)
            if "/tree/" in path:
                inside = path.split("/tree/")[1].partition("/")[2]
                shown = [one for one in self.entries() if str(Path(one["path"]).parent) == (inside or ".")]
                self.answer(json.dumps(shown).encode(), Content_Type="application/json")
            elif "/resolve/" in path:
                name = path.split("/resolve/")[1].partition("/")[2]
                content = files[name].read_bytes()
                asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                part = content[int(asked[1]) : int(asked[2]) + 1] if asked else content
                ranges.append((name, len(part)))
                self.answer(part, status=206 if asked else 200, ETag='"x"', X_Repo_Commit="0" * 40)
            elif path.startswith("/api/datasets/somebody/radiographs"):
                about = {"id": "somebody/radiographs", "sha": "0" * 40, "siblings": [], "tags": [], "private": False}
                self.answer(json.dumps(about).encode(), Content_Type="application/json")
            else:
                self.answer(b"{}", status=404)

        do_HEAD = do_GET

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            wanted = json.loads(body)["paths"] if body.startswith("{") else re.findall(r"paths=([^&]+)", unquote(body))
            self.answer(json.dumps(self.entries(wanted)).encode(), Content_Type="application/json")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        environment = {
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path),
        }
        done = subprocess.run([sys.executable, "-c", FROM_THE_HUB], env=environment, capture_output=True, text=True)
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stderr[-3000:]
    local = ShardSamples(DataConfig(path=str(shard_folder)), "train")
    assert done.stdout.split() == ["24", str(sum(len(local.content(index)) for index in range(24)))]
    assert {name for name, _ in ranges} == {name for name in files if "train" in name}
