"""The models of the request matrix: ids of the catalogue that can be called from us-east-1, and the
profile fields that group them into families, read from the reviewed list of resolved profiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RESOLVED = Path(__file__).parents[2] / "crates/routing/tests/snapshots/resolved_profiles.snap"
# Prefixes of inference profiles that can be called from us-east-1.
HERE = ("us", "global")
UNKNOWN = "nobody.knows-this-v1:0"
# Profile fields of models that do not chat; the first is that of embedding models.
EMBEDS, NO_CONVERSE = "embedding =", "converse = false"
# The profile field of models that are called on another surface than Converse. `surfaces` of the Rust tests has them.
ELSEWHERE = "surface ="
# Profile fields with a value of each model's own, which do not define a family.
FIGURES = ("most_max_tokens",)


@dataclass(frozen=True)
class Model:
    """One model and the id to call it by."""

    name: str
    called: str
    knobs: frozenset[str]
    embeds: bool
    chats: bool
    ended: bool


def paragraphs() -> Iterator[tuple[str, str, list[str]]]:
    """Name, facts and profile fields of each row."""
    text = RESOLVED.read_text().split("---\n", 2)[2]
    for paragraph in re.split(r"\n(?=\S)", text.strip("\n")):
        name, facts, *knobs = [line.strip() for line in paragraph.splitlines()]
        yield name, facts, knobs


def callable_id(name: str, facts: str) -> str | None:
    """The id to call from us-east-1; `None` if the model is not offered there."""
    if name.endswith("*"):
        return f"{name[:-1]}.of-tomorrow-v1:0".replace("..", ".")
    only = re.match(r"only ([^;]*)", facts)
    if not only:
        return name
    prefix = next((prefix for prefix in HERE if prefix in only[1].split()), None)
    return prefix and f"{prefix}.{name}"


def models() -> list[Model]:
    """All models that can be called, names for future models of each family, and one unknown name."""
    found = [
        model(name, called, knobs, "retired" in facts)
        for name, facts, knobs in paragraphs()
        if (called := callable_id(name, facts))
    ]
    return [*found, model(UNKNOWN, UNKNOWN, [], False)]


def model(name: str, called: str, knobs: list[str], ended: bool) -> Model:
    """A model by its profile fields."""
    embeds = any(knob.startswith(EMBEDS) for knob in knobs)
    shared = frozenset(knob for knob in knobs if not knob.startswith(FIGURES))
    is_elsewhere = any(knob.startswith(ELSEWHERE) for knob in knobs)
    chats = not (embeds or is_elsewhere) and NO_CONVERSE not in knobs
    return Model(name, called, shared, embeds, chats, ended)


def one_of_each(among: list[Model]) -> list[Model]:
    """One model per set of profile fields, preferably one that is not past its end of life."""
    families: dict[frozenset[str], Model] = {}
    for model in sorted(among, key=lambda model: model.ended, reverse=True):
        families[model.knobs] = model
    return sorted(families.values(), key=lambda model: model.name)


def alive_and_one_of_each(among: list[Model]) -> list[Model]:
    """All models that are not past their end of life, and one per set of profile fields of the others."""
    alive = {model.knobs for model in among if not model.ended}
    ended = one_of_each([model for model in among if model.knobs not in alive])
    return [model for model in among if not model.ended] + ended
