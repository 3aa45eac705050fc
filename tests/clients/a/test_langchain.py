"""langchain-openai and langchain-anthropic under LangChain's own conformance suite, with every ability it can be
asked for; those that Outcrop does not have are listed in cannot_pass.py."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

from samples import CLAUDE, ECHO, NOVA, png


# What stands for the files that the suite fetches from the internet; any will do.
FILES = {
    ".png": png(),
    ".pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
    ".wav": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0",
}


@pytest.fixture(autouse=True)
def files_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers the suite's downloads without a network."""

    def fetched(url: str, **_: Any) -> httpx.Response:
        [body] = [body for end, body in FILES.items() if url.lower().endswith(end)]
        return httpx.Response(200, content=body, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", fetched)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "outcrop-tests")


class ChatSuite(ChatModelIntegrationTests):
    """The suite with what all models share."""

    MODEL = ""

    @pytest.fixture(autouse=True)
    def _reach(self, base_url: str) -> None:
        self.base_url = base_url

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": self.MODEL,
            "base_url": self.base_url,
            "api_key": "any",
            "stream_usage": True,
            "max_retries": 0,
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "us.amazon.nova-pro-v1:0"


class TestClaude(ChatSuite):
    MODEL = CLAUDE


class TestNova(ChatSuite):
    MODEL = NOVA


class ResponsesSuite(ChatSuite):
    """The same on the Responses API."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**super().chat_model_params, "use_responses_api": True}


class TestResponsesClaude(ResponsesSuite):
    MODEL = CLAUDE


class TestResponsesNova(ResponsesSuite):
    MODEL = NOVA


class MessagesSuite(ChatSuite):
    """Anthropic's class, on the Messages API."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAnthropic

    @property
    def chat_model_params(self) -> dict[str, Any]:
        root = self.base_url.removesuffix("/v1")
        return {"model": self.MODEL, "base_url": root, "api_key": "any", "max_retries": 0}

    @property
    def supports_audio_inputs(self) -> bool:
        return False  # the API has none


class TestMessagesClaude(MessagesSuite):
    MODEL = CLAUDE


class TestMessagesNova(MessagesSuite):
    MODEL = NOVA


class EmbeddingSuite(EmbeddingsIntegrationTests):
    """LangChain sends lists of token ids and asks for base64."""

    MODEL = ""

    @pytest.fixture(autouse=True)
    def _reach(self, base_url: str) -> None:
        self.base_url = base_url

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {
            "model": self.MODEL,
            "base_url": self.base_url,
            "api_key": "any",
            "max_retries": 0,
        }


class TestTitan(EmbeddingSuite):
    MODEL = "amazon.titan-embed-text-v2:0"


class TestCohere(EmbeddingSuite):
    MODEL = "cohere.embed-multilingual-v3"


def test_text_completions(base_url: str) -> None:
    """The class for text completions, whole, several at once, and streamed."""
    llm = OpenAI(model=ECHO, base_url=base_url, api_key="any", max_retries=0, max_tokens=50)
    assert llm.invoke("granite and chalk") == "granite and chalk"
    found = llm.generate(["granite", "chalk"])
    assert [[one.text for one in several] for several in found.generations] == [["granite"], ["chalk"]]
    assert found.llm_output and found.llm_output["token_usage"]["total_tokens"] > 0
    assert "".join(llm.stream("granite and chalk")) == "granite and chalk"
