"""A chat model of transformers in this process: any that has a chat template, as a folder, a Hub id or a GGUF file.

With prompts that ask for numbers, each answer keeps to the schema by construction (constrained.py).
"""

import asyncio
import hashlib
import json
import os
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from ..asking import Question
from ..schema import EngineError
from .cache import Reply

# Openly licensed (Apache-2.0) and small enough for a laptop. The paper's is meta-llama/Llama-3.1-8B-Instruct, licence
# llama3.1: what is trained with its answers has to be named after it (licences.yaml).
MODEL, LICENCE = "Qwen/Qwen2.5-1.5B-Instruct", "apache-2.0"
PIECES, PIECE = 128, 2**15  # of a file of weights, in bytes, to tell it from others
# weights, their index, config, words
OF_A_MODEL = frozenset((".json", ".safetensors", ".bin", ".gguf", ".model", ".txt", ".jinja"))
KNOWN_LICENCES = {
    MODEL: LICENCE,
    "Qwen/Qwen2.5-7B-Instruct": "apache-2.0",
    "HuggingFaceTB/SmolLM2-135M-Instruct": "apache-2.0",
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": "apache-2.0",
    "meta-llama/Llama-3.1-8B-Instruct": "llama3.1",
}


@dataclass(frozen=True)
class LocalSettings:
    """Which model, and how it runs."""

    model: str = MODEL  # a Hub id, a folder, or a .gguf file
    licence: str = LICENCE
    name: str | None = None  # what the rows call it, for a folder or a file; by default its own name without the path
    revision: str | None = None
    device: str = "auto"  # auto: a GPU where there is one
    dtype: str = "auto"
    batch_size: int = 8

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; at least one question is asked at a time")


class LocalChat:
    """Completes conversations here. Those that wait at the same time share a batch."""

    def __init__(self, settings: LocalSettings):
        self.how = settings
        path = Path(settings.model)
        self.model = settings.name or (path.name if path.exists() else settings.model)
        self.licence = settings.licence
        self._waiting: asyncio.Queue[tuple[Question, asyncio.Future[Reply]]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._network: Any = None
        self._tokenizer: Any = None
        self._one_at_a_time = threading.Lock()  # a call sets whether the tokenizer pads, for the other thread's too

    @property
    def settings(self) -> dict[str, Any]:
        how = {"revision": self.how.revision, "dtype": self.how.dtype, "decoding": "greedy"}
        return {**how, "files": self._files}

    @cached_property
    def _files(self) -> str | None:
        """What tells two models of one name apart: a hash of the files, or the commit on the Hub where it is known."""
        path = Path(self.how.model)
        if not path.exists():
            return _commit(self.how.model, self.how.revision)
        total = hashlib.sha256()
        files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix in OF_A_MODEL)
        for file in files:
            total.update(json.dumps([file.name, file.stat().st_size]).encode())
            with file.open("rb") as content:  # a whole one may have many gigabytes
                for piece in range(PIECES):  # all over it: what was tuned has the ends of what it comes from
                    content.seek(max(0, file.stat().st_size - PIECE) * piece // (PIECES - 1))
                    total.update(content.read(PIECE))
        return total.hexdigest()

    async def __aenter__(self) -> "LocalChat":
        await asyncio.to_thread(self._load)
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def complete(self, question: Question, attempt: int) -> Reply:
        """The model's answer. Greedy: a second attempt would say the same, so there is none. EngineError then."""
        if attempt:
            raise EngineError("the model's likeliest answer is not valid")
        needed = len(self._tokenized([question])["input_ids"][0]) + question.max_tokens
        longest = self._network.config.get_text_config().max_position_embeddings
        if needed > longest:
            raise EngineError(f"question and answer need {needed} tokens, and the model takes {longest}")
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        await self._waiting.put((question, future))
        return await future

    async def _work(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(0)  # whoever was answered a moment ago asks on
            while len(batch) < self.how.batch_size and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                replies = await asyncio.to_thread(self._answers, [question for question, _ in batch])
            except Exception as error:  # whatever a model raises, those who wait have to hear of it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    def _load(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = Path(self.how.model)
        revision = self.how.revision if path.exists() else self._files or self.how.revision
        source: dict[str, Any] = {"pretrained_model_name_or_path": self.how.model, "revision": revision}
        if path.suffix == ".gguf":
            if not path.is_file():
                raise FileNotFoundError(f"{path} is not there; give a .gguf file, a folder, or an id on the Hub")
            source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        self._tokenizer = AutoTokenizer.from_pretrained(**source, padding_side="left", trust_remote_code=False)
        if self._tokenizer.chat_template is None:
            raise ValueError(f"{self.how.model} has no chat template; take a model that follows instructions")
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        device = self.how.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = self.how.dtype
        if path.suffix == ".gguf" and dtype == "auto":
            dtype = "float32"
        self._network = AutoModelForCausalLM.from_pretrained(**source, dtype=dtype, trust_remote_code=False)
        self._network.to(device).eval()

    def _answers(self, questions: list[Question]) -> list[Reply]:
        import torch
        from transformers import LogitsProcessorList

        from .constrained import KeepToSchema, Walk, pieces_of

        inputs = self._tokenized(questions, return_tensors="pt", padding=True).to(self._network.device)
        length = inputs["input_ids"].shape[1]
        end = self._tokenizer.eos_token_id
        walks: list[Walk] = []
        keep = LogitsProcessorList()
        if all(_is_of_choices(one) for one in questions):
            walks = [Walk(pieces_of(one.schema), self._encode) for one in questions]
            keep.append(KeepToSchema(walks, length, end))
        with torch.inference_mode():
            answers = self._network.generate(
                **inputs,
                max_new_tokens=max(one.max_tokens for one in questions),
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self._tokenizer.pad_token_id,
                eos_token_id=end,
                logits_processor=keep,
            )
        replies = []
        for row, answer in enumerate(answers[:, length:].tolist()):
            used = answer.index(end) if end in answer else len(answer)
            text = walks[row].text if walks else self._tokenizer.decode(answer[:used], skip_special_tokens=True)
            asked = int(inputs["attention_mask"][row].sum())
            certainty = {key: round(chance, 6) for key, chance in walks[row].chance.items()} if walks else {}
            replies.append(Reply(text, asked, used, certainty))
        return replies

    def _tokenized(self, questions: list[Question], **how: Any) -> Any:
        texts = [
            self._tokenizer.apply_chat_template(list(one.messages), tokenize=False, add_generation_prompt=True)
            for one in questions
        ]
        with self._one_at_a_time:
            return self._tokenizer(texts, add_special_tokens=False, **how)

    def _encode(self, text: str) -> list[int]:
        with self._one_at_a_time:
            return self._tokenizer.encode(text, add_special_tokens=False)


def _commit(model: str, revision: str | None) -> str | None:
    """The commit of a model on the Hub, None where it cannot be reached and was never downloaded."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    config = try_to_load_from_cache(model, "config.json", revision=revision)
    try:
        if not isinstance(config, str):
            config = hf_hub_download(model, "config.json", revision=revision)
    except (OSError, ValueError):  # loading it will say what is wrong
        return None
    folders = Path(os.path.abspath(config)).parts
    return folders[folders.index("snapshots") + 1] if "snapshots" in folders else None


def _is_of_choices(question: Question) -> bool:
    return all("enum" in json.dumps(value) for value in question.schema["properties"].values())
