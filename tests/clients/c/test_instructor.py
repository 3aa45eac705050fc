"""instructor: typed results by each of the modes that an OpenAI-compatible server can be asked in."""

from __future__ import annotations

import asyncio
import random
from typing import Literal

import instructor
import openai
import pytest
from pydantic import BaseModel

from invented import words
from outcrop_process import Outcrop
from page import set_up
from samples import CLAUDE, NOVA

MODES = [
    instructor.Mode.TOOLS,
    instructor.Mode.JSON,
    instructor.Mode.JSON_SCHEMA,
    instructor.Mode.MD_JSON,
]


class Sample(BaseModel):
    """A rock in a collection."""

    name: str
    weight: int
    kind: Literal["igneous", "sedimentary", "metamorphic"]


@pytest.fixture(params=[NOVA, CLAUDE])
def model(request: pytest.FixtureRequest) -> str:
    return request.param


def described(
    rng: random.Random, name: str | None = None
) -> tuple[Sample, list[dict[str, str]]]:
    """A sample and the conversation that asks for it."""
    name = name or words(rng, 1)[0]
    weight = rng.randrange(100, 10_000)
    text = f'Describe the sample: name "{name}", weight {weight}, kind metamorphic.'
    sample = Sample(name=name, weight=weight, kind="metamorphic")
    return sample, [{"role": "user", "content": text}]


def client(base_url: str, mode: instructor.Mode) -> instructor.Instructor:
    return instructor.from_openai(
        openai.OpenAI(base_url=base_url, api_key="any", max_retries=0), mode=mode
    )


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_typed_result(
    base_url: str, rng: random.Random, model: str, mode: instructor.Mode
) -> None:
    sample, messages = described(rng)
    found = client(base_url, mode).chat.completions.create(
        model=model, messages=messages, response_model=Sample, max_retries=0
    )
    assert isinstance(found, Sample) and found.model_dump() == sample.model_dump()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_partial_results(
    base_url: str, rng: random.Random, model: str, mode: instructor.Mode
) -> None:
    """The object grows while it is streamed."""
    sample, messages = described(rng, " ".join(words(rng, 4)))
    states = list(
        client(base_url, mode).chat.completions.create_partial(
            model=model, messages=messages, response_model=Sample, max_retries=0
        )
    )
    assert states[-1].model_dump() == sample.model_dump()
    assert len(states) > 2, "the object came in one piece"


@pytest.mark.parametrize("block", ["instructor", "instructor-responses"])
def test_the_clients_of_the_page(gateway: Outcrop, rng: random.Random, model: str, block: str) -> None:
    """Chat completions, and the Responses API."""
    made = set_up(block, gateway.url)["client"]
    sample, messages = described(rng)
    found = made.create(model=model, messages=messages, response_model=Sample, max_retries=0)
    assert isinstance(found, Sample) and found.model_dump() == sample.model_dump()
    # The next question goes with the first answer.
    more, asked = described(rng)
    history = [*messages, {"role": "assistant", "content": found.model_dump_json()}, *asked]
    found = made.create(model=model, messages=history, response_model=Sample, max_retries=0)
    assert found.model_dump() == more.model_dump()


def test_partial_results_of_responses(gateway: Outcrop, rng: random.Random, model: str) -> None:
    made = set_up("instructor-responses", gateway.url)["client"]
    sample, messages = described(rng, " ".join(words(rng, 4)))
    states = list(made.create_partial(model=model, messages=messages, response_model=Sample, max_retries=0))
    assert states[-1].model_dump() == sample.model_dump() and len(states) > 2


def test_a_validator_asks_again_of_responses(gateway: Outcrop, rng: random.Random, model: str) -> None:
    made = set_up("instructor-responses", gateway.url)["client"]
    sample, messages = described(rng)
    seen: list[str] = []

    class Checked(Sample):
        def model_post_init(self, _: object) -> None:
            seen.append(self.name)
            if len(seen) == 1:
                raise ValueError(f'once more: name "{sample.name}", weight {sample.weight}')

    found = made.create(model=model, messages=messages, response_model=Checked, max_retries=2)
    assert len(seen) == 2 and found.weight == sample.weight


def test_with_completion_and_usage(base_url: str, rng: random.Random, model: str) -> None:
    sample, messages = described(rng)
    found, completion = client(
        base_url, instructor.Mode.TOOLS
    ).chat.completions.create_with_completion(
        model=model, messages=messages, response_model=Sample, max_retries=0
    )
    assert isinstance(found, Sample) and found.model_dump() == sample.model_dump()
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.usage.total_tokens > 0


def test_a_validator_asks_again(base_url: str, rng: random.Random, model: str) -> None:
    """A result that fails validation is sent back with the complaint, as a tool result."""
    sample, messages = described(rng)
    seen: list[str] = []

    class Checked(Sample):
        def model_post_init(self, _: object) -> None:
            seen.append(self.name)
            if len(seen) == 1:
                raise ValueError(f'once more: name "{sample.name}", weight {sample.weight}')

    found = client(base_url, instructor.Mode.TOOLS).chat.completions.create(
        model=model, messages=messages, response_model=Checked, max_retries=2
    )
    assert len(seen) == 2 and found.weight == sample.weight


def test_asynchronous(base_url: str, rng: random.Random, model: str) -> None:
    sample, messages = described(rng)

    async def ask() -> Sample:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as plain:
            return await instructor.from_openai(plain).chat.completions.create(
                model=model, messages=messages, response_model=Sample, max_retries=0
            )

    assert asyncio.run(ask()).model_dump() == sample.model_dump()
