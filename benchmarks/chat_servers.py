"""OpenAI-compatible servers that a benchmark starts on the loopback address and stops at the end."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from llama_server import WAY_OUT
from transformers import AutoModelForCausalLM, AutoTokenizer

PATIENCE = 300  # seconds until a server has loaded its model


@dataclass(frozen=True)
class Served:
    """Where a server is, and what it calls the model."""

    url: str
    model: str
    connections: int


@contextmanager
def transformers_serve(gguf: Path, name: str) -> Iterator[Served]:
    """`transformers serve`, which answers one question at a time."""
    port, folder = free_port(), Path(tempfile.mkdtemp())
    try:
        unpacked(gguf, folder)
        command = ["-m", "transformers.cli.transformers", "serve", str(folder), "--host", "127.0.0.1"]
        with running([*command, "--port", str(port), "--device", "cpu"], port, 'pip install "transformers[serving]"'):
            yield Served(f"http://127.0.0.1:{port}/v1", str(folder), 1)
    finally:
        shutil.rmtree(folder)


@contextmanager
def llama_cpp(gguf: Path, name: str) -> Iterator[Served]:
    """llama.cpp's server, four answers at a time."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise SystemExit(WAY_OUT)
    port, script = free_port(), Path(__file__).with_name("llama_server.py")
    command = [str(script), "--gguf", str(gguf), "--name", name, "--port", str(port), "--parallel", "4"]
    with running(command, port, "start benchmarks/llama_server.py by hand to see why"):
        yield Served(f"http://127.0.0.1:{port}/v1", name, 4)


SERVERS: dict[str, Callable[[Path, str], AbstractContextManager[Served]]] = {
    "llama.cpp": llama_cpp,
    "transformers serve": transformers_serve,
}


@contextmanager
def running(command: Sequence[str], port: int, way_out: str) -> Iterator[None]:
    """A Python program in a process of its own, from when it answers at /health until the block ends."""
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    try:
        began = time.monotonic()
        while not healthy(port):
            if process.poll() is not None:
                raise SystemExit(f"the server ended with status {process.returncode} before it answered; {way_out}")
            if time.monotonic() - began > PATIENCE:
                raise SystemExit(f"the server did not answer within {PATIENCE} seconds; {way_out}")
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def unpacked(gguf: Path, folder: Path) -> None:
    """The same weights as a folder of safetensors, with the class in the config, as `transformers serve` needs."""
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    quantized = AutoModelForCausalLM.from_pretrained(**source, dtype="float32")
    plain = AutoModelForCausalLM.from_config(quantized.config)
    plain.load_state_dict(quantized.state_dict())
    plain.generation_config = quantized.generation_config
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
