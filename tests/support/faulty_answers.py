"""Two parts, a study of them, and what a language model behind a faulty server says of it."""

import asyncio

from fault_server import Plan, started

from pedclip.processing.curation import asking
from pedclip.processing.curation.engines.cache import AnswerCache
from pedclip.processing.curation.engines.language import LanguageEngine
from pedclip.processing.curation.engines.server import ServerChat, ServerSettings
from pedclip.processing.curation.schema import FilmedPart, Study
from pedclip.processing.curation.splitting import split

PROMPTS = asking.load_prompts("v1")
PARTS = (FilmedPart("L KNEE", "knee", "left"), FilmedPart("R HIP", "hip", "right"))


def study(number: int = 0, extra: str = "") -> Study:
    report = f"History of pain. Effusion of {number} mm in the left knee. {extra}There is a fracture of the right hip."
    return Study(f"s{number}", f"p{number}", report, PARTS)


def asked(plan: Plan, studies: list[Study], cache: AnswerCache | None = None, **settings) -> tuple[list, ServerChat]:
    """(assignments or errors, the chat) from a server with this plan."""

    async def run():
        runner, address = await started(plan)
        chat = ServerChat(ServerSettings(address, "m", "mit", **{"timeout": 1.0, "connections": 50, **settings}))
        try:
            async with chat:
                engine = LanguageEngine("server", chat, PROMPTS, cache)
                jobs = (engine.assign(one, split(one.report)) for one in studies)
                return await asyncio.gather(*jobs, return_exceptions=True), chat
        finally:
            await runner.cleanup()

    return asyncio.run(run())
