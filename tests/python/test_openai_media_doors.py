"""Images, transcripts and vector store searches with the official Python client."""

from __future__ import annotations

import base64
import io
import wave

import openai
import pytest

from samples import png

CORE = "stability.stable-image-core-v1:1"
INPAINT = "us.stability.stable-image-inpaint-v1:0"
VOXTRAL = "mistral.voxtral-small-24b-2507"


def recording() -> bytes:
    """A second of silence."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    return made.getvalue()


def test_images_are_generated(client: openai.OpenAI) -> None:
    answer = client.images.generate(model=CORE, prompt="A grey stone", n=2, size="1536x1024")
    assert answer.data is not None and len(answer.data) == 2
    for image in answer.data:
        assert image.b64_json is not None and base64.b64decode(image.b64_json).startswith(b"\x89PNG")
    assert answer.size == "24x16" and answer.output_format == "png" and answer.created > 0
    url = client.images.generate(model=CORE, prompt="A grey stone", response_format="url")
    assert url.data is not None and str(url.data[0].url).startswith("data:image/png;base64,")


def test_images_are_streamed(client: openai.OpenAI) -> None:
    events = list(client.images.generate(model=CORE, prompt="A grey stone", stream=True))
    [event] = events
    assert event.type == "image_generation.completed"
    assert base64.b64decode(event.b64_json).startswith(b"\x89PNG")


def test_images_are_edited(client: openai.OpenAI) -> None:
    answer = client.images.edit(
        model=INPAINT,
        image=("stone.png", png(64, 64)),
        mask=("mask.png", png(64, 64)),
        prompt="Moss",
        extra_body={"grow_mask": 3},
    )
    assert answer.data is not None and answer.data[0].b64_json is not None
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(model=INPAINT, image=[png(), png()], prompt="Moss")
    assert refused.value.param == "image"


def test_variations_and_speech_say_what_to_use(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as refused:
        client.images.create_variation(image=png())
    assert refused.value.status_code == 501 and "/v1/images/edits" in refused.value.message
    with pytest.raises(openai.InternalServerError) as refused:
        client.audio.speech.create(model="tts-1", voice="alloy", input="Hello")
    assert refused.value.status_code == 501 and "Amazon Polly" in refused.value.message


def test_recordings_are_written_down(client: openai.OpenAI) -> None:
    file = ("speech.wav", recording())
    answer = client.audio.transcriptions.create(model=VOXTRAL, file=file, language="en", temperature=0.2)
    assert answer.text and answer.usage is not None and answer.usage.type == "tokens"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    text = client.audio.transcriptions.create(model=VOXTRAL, file=file, response_format="text")
    assert isinstance(text, str) and text.endswith("\n")
    english = client.audio.translations.create(model=VOXTRAL, file=file)
    assert english.text


def test_transcripts_are_streamed(client: openai.OpenAI) -> None:
    file = ("speech.wav", recording())
    events = list(client.audio.transcriptions.create(model=VOXTRAL, file=file, stream=True))
    *pieces, done = events
    assert done.type == "transcript.text.done" and len(pieces) > 1
    assert "".join(piece.delta for piece in pieces if piece.type == "transcript.text.delta") == done.text


def test_formats_with_times_are_refused(client: openai.OpenAI) -> None:
    for response_format in ("srt", "vtt", "verbose_json"):
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.transcriptions.create(
                model=VOXTRAL, file=("speech.wav", recording()), response_format=response_format
            )
        assert (refused.value.param, refused.value.code) == ("response_format", "unsupported_value")


def test_vector_stores_are_searched(client: openai.OpenAI) -> None:
    page = client.vector_stores.search(
        "EMULATORKB",
        query=["volcanic rock", "soft limestone"],
        filters={"type": "or", "filters": [{"type": "gte", "key": "year", "value": 2011}, {"type": "eq", "key": "kind", "value": "igneous"}]},
        max_num_results=3,
        ranking_options={"score_threshold": 0.1},
    )
    found = list(page)
    assert len(found) == 3 and found[0].score >= found[-1].score
    assert found[0].filename in ("basalt.txt", "chalk.pdf") and found[0].content[0].text
    assert found[0].attributes is not None and found[0].attributes["year"] in (1998, 2023)
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.search("vs_unknown", query="x")
    with pytest.raises(openai.InternalServerError) as refused:
        client.vector_stores.create(name="mine")
    assert refused.value.status_code == 501 and "KNOWLEDGE_BASE_ID/search" in refused.value.message
