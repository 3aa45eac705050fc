#!/usr/bin/env python3
"""Writes litellm.tsv and genai-prices.tsv: what two public price lists state for Bedrock, as facts to compare with.

Run by hand where `pip install litellm==1.110.2 genai-prices==0.2.3` was done (never litellm 1.82.7, 1.82.8 or
1.107.0), from the root of the repository. The test `sources` reads the files, and needs neither package.

Left out: commitments by the month, Claude Platform on AWS (another product), images by size and steps, rates of 0 for
what a model does not do (output of embeddings), and image tokens, which Converse counts as input tokens.
"""

from __future__ import annotations

import json
import re
import tomllib
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = HERE.parents[3] / "config"
PREFIXES = {"us-gov", "us", "eu", "apac", "jp", "au", "ca", "in", "sa", "amer", "global"}
HOME, GOVERNMENT = "us-east-1", "us-gov-west-1"
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
TIERS = {"flex": "flex", "priority": "priority", "batches": "batch", "ultrafast": "ultrafast"}
TOKENS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
}
PIECES = {
    "input_cost_per_image": "image",
    "output_cost_per_image": "output_image",
    "input_cost_per_query": "request",
    "input_cost_per_video_per_second": "video_second",
    "input_cost_per_audio_per_second": "audio_second",
}
GUARDRAIL = {
    "contentPolicyUnits": "content",
    "topicPolicyUnits": "topic",
    "wordPolicyUnits": "word",
    "sensitiveInformationPolicyUnits": "pii",
    "sensitiveInformationPolicyFreeUnits": "pii_free",
    "contextualGroundingPolicyUnits": "grounding",
    "automatedReasoningPolicyUnits": "reasoning",
    "contentPolicyImageUnits": "image",
}
GENAI = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
}
Rates = dict[str, str]


def plain(value: str | Decimal) -> str:
    return format(Decimal(value).normalize(), "f")


def named(key: str) -> tuple[str, str] | None:
    """The id that is sent and the region, for a key of litellm's map."""
    rest = re.sub(r"^(bedrock_mantle/|bedrock/converse/|bedrock/invoke/|bedrock/)", "", key)
    region = None
    if "/" in rest:
        region, rest = rest.split("/", 1)
        if not REGION.fullmatch(region):
            return None
    if "/" in rest:
        return None
    government = rest.startswith("us-gov.")
    return rest, region or (GOVERNMENT if government else HOME)


def priced(key: str, mode: str) -> tuple[str, int, str, bool] | None:
    """Tier, step, part, and whether the price is that of a token."""
    tier, above = "standard", 0
    for suffix, name in TIERS.items():
        if key.endswith("_" + suffix):
            tier, key = name, key.removesuffix("_" + suffix)
    if step := re.search(r"_above_(\d+)k_tokens$", key):
        above, key = int(step[1]) * 1000, key[: step.start()]
    part = TOKENS.get(key) or PIECES.get(key)
    if part == "request" and mode == "rerank":
        part = "rerank_query"
    return (tier, above, part, key in TOKENS) if part else None


def of_litellm(facts: dict[str, object]) -> dict[tuple[str, int], Rates]:
    steps: dict[tuple[str, int], Rates] = {}
    mode = str(facts.get("mode"))
    for key, value in facts.items():
        if (found := priced(key, mode)) is None or value is None:
            continue
        tier, above, part, is_token = found
        rate = plain(Decimal(str(value)) * (1_000_000 if is_token else 1))
        if rate != "0" or mode in ("chat", "responses", "realtime"):
            steps.setdefault((tier, above), {})[part] = rate
    if search := facts.get("search_context_cost_per_query"):
        steps.setdefault(("standard", 0), {})["web_search"] = plain(search["search_context_size_medium"])
    return steps


def line(*fields: object, rates: Rates) -> str:
    return "\t".join([*map(str, fields), " ".join(f"{part}={rate}" for part, rate in sorted(rates.items()))])


def litellm_lines() -> list[str]:
    folder = Path(str(distribution("litellm").locate_file("litellm")))
    text = (folder / "model_prices_and_context_window_backup.json").read_text()
    lines = []
    for key, facts in sorted(json.loads(text, parse_float=str, parse_int=str).items()):
        if not str(facts.get("litellm_provider", "")).startswith("bedrock") or (name := named(key)) is None:
            continue
        if units := facts.get("guardrail_cost_per_unit"):
            rates = {f"guardrail_{GUARDRAIL[unit]}": plain(rate) for unit, rate in units.items()}
            lines.append(line(key, "guardrail", HOME, "", "standard", 0, rates=rates))
            continue
        for (tier, above), rates in sorted(of_litellm(facts).items()):
            lines.append(line(key, *name, "", tier, above, rates=rates))
    return lines


def genai_steps(price: object) -> dict[int, Rates]:
    """Rates by step; those of a long prompt are complete."""
    steps: dict[int, Rates] = {0: {}}
    for field, value in vars(price).items():
        if value is None or field not in GENAI:
            continue
        tiers = getattr(value, "tiers", [])
        steps[0][GENAI[field]] = plain(value.base if tiers else value)
        for tier in tiers:
            steps.setdefault(tier.start, {})[GENAI[field]] = plain(tier.price)
    return {above: {**steps[0], **rates} for above, rates in steps.items()}


def genai_lines() -> list[str]:
    from genai_prices.data import providers

    aws = next(provider for provider in providers if provider.id == "aws")
    rows = tomllib.loads((CONFIG / "models.toml").read_text())["rows"]
    lines = []
    for model in sorted(tomllib.loads((CONFIG / "prices.toml").read_text())["prices"]):
        for prefix in ["", *(f"{prefix}." for prefix in rows.get(model, {}).get("prefixes", []))]:
            sent = prefix + model
            found = next((one for one in aws.models if one.match.is_match(sent)), None)
            if found is None:
                continue
            dated = found.prices if isinstance(found.prices, list) else None
            since = [(str(one.constraint.start_date) if one.constraint else "", one.prices) for one in dated or []]
            for start, price in since or [("", found.prices)]:
                region = GOVERNMENT if prefix == "us-gov." else HOME
                # A price without a beginning, where a later one exists, is that of the past.
                on = start or ("2026-01-01" if since else "")
                for above, rates in sorted(genai_steps(price).items()):
                    lines.append(line(sent, sent, region, on, "standard", above, rates=rates))
    return lines


def main() -> None:
    head = "# {} {}: key, id, region, day (empty: the present), tier, prompt above, rates. Written by extract.py.\n"
    for package, lines in (("litellm", litellm_lines()), ("genai-prices", genai_lines())):
        text = head.format(package, distribution(package).version) + "\n".join(lines) + "\n"
        (HERE / f"{package}.tsv").write_text(text)


if __name__ == "__main__":
    main()
