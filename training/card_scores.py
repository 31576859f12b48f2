"""The scores that a packaged model's card tells its users."""

from pathlib import Path

import numpy as np

from emserve.cards import CardScore, ModelCard
from emserve.scores import Scores


def mean_score(data: str, scores: list[Scores]) -> CardScore:
    """The mean over images, as a card tells it."""
    means = {
        name: round(float(np.mean([getattr(each, name) for each in scores])), 3)
        for name in ("f1_50", "f1_75", "foreground_iou")
    }
    return CardScore(data=data, objects=sum(each.true for each in scores), **means)


def record(path: Path, score: CardScore) -> None:
    """Writes `score` into the card at `path`, in the place of an older one on the same data."""
    card = ModelCard.model_validate_json(path.read_bytes())
    others = [each for each in card.scores if each.data != score.data]
    scored = card.model_copy(update={"scores": [*others, score]})
    path.write_text(card_text(scored))


def card_text(card: ModelCard) -> str:
    """A card as its file holds it."""
    return card.model_dump_json(indent=2, exclude_none=True, exclude_defaults=True) + "\n"
