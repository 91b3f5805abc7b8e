"""Loss and accuracy over the batches of an epoch."""

from __future__ import annotations


class Figures:
    """Sums over batches, and their means over samples."""

    def __init__(self) -> None:
        self._samples, self._loss, self._correct = 0, 0.0, 0
        self._answers = True

    def add(self, samples: int, loss: float, correct: int | None) -> None:
        self._samples += samples
        self._loss += loss * samples
        self._answers = correct is not None
        self._correct += correct or 0

    def means(self) -> dict[str, float]:
        found = {"loss": self._loss / self._samples}
        if self._answers:
            found["accuracy"] = self._correct / self._samples
        return found
