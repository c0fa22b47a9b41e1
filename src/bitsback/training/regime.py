"""What a run is asked for, and what it tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bitsback.training.architecture import Size

if TYPE_CHECKING:
    from bitsback.training.loop import Check, Run

Kind = Literal["auto", "context", "phases", "vae", "ladder"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Regime:
    """How to train.

    Attributes:
        minutes: for everything, from the first look to the last figure.
        steps: of training, instead of as many as the time allows. Only so is a run repeatable to the last bit.
        kind: of the model: "context", "phases", "vae", "ladder" (a vae with several levels of latents), or "auto" for
            the one that is smallest on the held-out images, its own file counted.
        fast: whether it must decode many samples at once: then "phases", or "vae" and "ladder" without a context
            network.
        size: of the network: a larger one is slower to train and to code with, and smaller in bits. "auto": medium, or
            that of a model to start from, which else is none.
        init: the model to start from, of any of these kinds, by name or path; "auto" tries the best of the installed
            ones if the size is left open, too; "none" none.
        seed: of everything that is left to chance.
        device: "cpu", "cuda", or "auto" for whichever there is.
        threads: to use, 0 for all cores. The model does not depend on it.
        memory: bytes that the pixels under way may take; what is beyond comes in by turns.
        limit: images that are looked at, at most.
        name: of the model.
    """

    minutes: float = 20.0
    steps: int | None = None
    kind: Kind = "auto"
    fast: bool = False
    size: Size | Literal["auto"] = "auto"
    init: str = "auto"
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    memory: int = 1 << 30
    limit: int = 200_000
    name: str = "model"

    @property
    def network(self) -> Size:
        """The size of networks that start from nothing."""
        return "medium" if self.size == "auto" else self.size


class View:
    """What a run tells while it goes on; this one listens to nothing."""

    def stage(self, what: str) -> None:
        """Something begins."""

    def advance(self, done: int, total: int) -> None:
        """How far it is."""

    def codecs(self, rates: dict[str, float]) -> None:
        """What other codecs make of held-out images, bits/dim."""

    def note(self, text: str) -> None:
        """One line worth keeping: it ends up in the report too."""

    def race(self, number: int, of: int) -> None:
        """Candidate ``number`` of a race begins; 0: there is no race, or no longer."""

    def step(self, name: str, run: Run, bits: float) -> None:
        """A training step of a candidate, towards step ``run.until``."""

    def check(self, name: str, row: Check) -> None:
        """A check of a candidate."""

    def stopping(self) -> bool:
        """Whether to stop training and export the best so far."""
        return False
