"""Studies of two parts, and a chat that answers about them at once and rightly."""

import asyncio
import json
import random
from pathlib import Path

from fault_server import right_answer

from pedclip.processing.curation.engines.cache import Reply
from pedclip.processing.curation.schema import EngineError


def rows(count: int) -> list[dict]:
    return [
        {
            "study_id": f"s{n}",
            "patient_id": f"p{n // 2}",
            "report": f"History of falls. Effusion of {n} mm in the knee. Fracture of the hip, as in the knee. Calm.",
            "body_parts": ["L KNEE", "R HIP"],
            "images": [f"films/{n}-knee.png", f"films/{n}-hip.png"],
        }
        for n in range(count)
    ]


def table(folder: Path, count: int) -> Path:
    path = folder / "studies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(count)))
    return path


class Calm:
    """A chat that answers at once, but for what it is told to be silent about."""

    model, licence, settings = "Calm-1B", "mit", {}

    def __init__(self, silent: str | None = None):
        self.silent, self.asked = silent, 0

    async def complete(self, question, attempt):
        self.asked += 1
        text = question.messages[-1]["content"]
        if self.silent and self.silent in text:
            raise EngineError("not to this question")
        await asyncio.sleep(random.uniform(0, 0.002))  # answers come in any order
        return Reply(right_answer(text), 7, 3)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass
