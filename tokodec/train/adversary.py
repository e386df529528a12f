"""The other side of adversarial training: a discriminator with its own optimiser, beside the model in a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokodec.api import Autoencoder, Pixels
from tokodec.errors import InputError
from tokodec.losses.adversary.criteria import (
    AdaptiveWeight,
    Criterion,
    FixedWeight,
    Hinge,
    HingeNonSaturating,
    LeCAM,
    NonSaturating,
    Vanilla,
    Weight,
    r1,
)
from tokodec.losses.adversary.patch import PatchConfig, PatchDiscriminator
from tokodec.losses.adversary.style import StyleConfig, StyleDiscriminator
from tokodec.settings import fill
from tokodec.train.optim import Group
from tokodec.train.recipe import AdversaryRecipe
from tokodec.train.world import World

DISCRIMINATORS: Mapping[str, tuple[type[nn.Module], type[Any]]] = {
    "patch": (PatchDiscriminator, PatchConfig),
    "style": (StyleDiscriminator, StyleConfig),
}
CRITERIA: Mapping[str, type[Criterion]] = {
    "hinge": Hinge,
    "vanilla": Vanilla,
    "non_saturating": NonSaturating,
    "hinge_non_saturating": HingeNonSaturating,
}
WEIGHTS: Mapping[str, type[Weight]] = {"fixed": FixedWeight, "adaptive": AdaptiveWeight}

Scalar = Float[Tensor, ""]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The generator's loss with its weight, and what to log."""

    loss: Scalar
    terms: dict[str, Tensor]


class Adversary:
    """Judges pictures in [0, 1]. Raises InputError for a name that the recipe got wrong."""

    def __init__(self, recipe: AdversaryRecipe, model: Autoencoder[Any], world: World, device: torch.device) -> None:
        self.recipe, self.model, self.world = recipe, model, world
        build, config = _of(DISCRIMINATORS, recipe.discriminator, "discriminator")
        settings = fill(config, recipe.settings, f"discriminator {recipe.discriminator}")
        self.net = build(settings).to(device).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.criterion = _of(CRITERIA, recipe.criterion, "criterion")()
        self.weight = _of(WEIGHTS, recipe.weight, "weight")()
        self.lecam = LeCAM().to(device)
        self.group = Group(recipe.optimiser, dict(self.net.named_parameters()))
        self.rest(device)

    def rest(self, device: torch.device) -> None:
        """Before a step: no gradients, and nothing seen."""
        self.net.zero_grad(set_to_none=True)
        self.seen = torch.zeros(2, device=device)

    def judge(self, pixels: Pixels, others: Scalar, strength: float) -> Verdict:
        """What the generator is to make small beside ``others``; no gradient of it is for the discriminator."""
        adversarial = self.criterion.generator(self.net(pixels * 2 - 1).float())
        weight = self.weight(others, adversarial, self.model.last_layer() if isinstance(self.weight, AdaptiveWeight) else pixels)
        return Verdict(loss=strength * weight * adversarial, terms={"generator": adversarial, "adversarial_weight": weight})

    def learn(self, real: Pixels, fake: Pixels, step: int, share: float) -> dict[str, Tensor]:
        """Add gradients of one piece, which is ``share`` of the batch; ``step`` counts from 0."""
        # One after the other: what a discriminator counts over a batch (normalisation, spread) would give the kinds away, or hide them.
        on_real, on_fake = (self.net(pictures * 2 - 1).float() for pictures in (real, fake.detach()))
        loss = self.criterion.discriminator(on_real, on_fake)
        terms = {"discriminator": loss, "logits_real": on_real.mean(), "logits_fake": on_fake.mean()}
        self.seen += share * torch.stack([on_real.mean(), on_fake.mean()]).detach()
        if self.recipe.lecam:
            terms["lecam"] = self.lecam(on_real, on_fake)
            loss = loss + self.recipe.lecam * terms["lecam"]
        if self.recipe.r1 and step % self.recipe.r1_every == 0:
            terms["r1"] = r1(self.net, real * 2 - 1)
            loss = loss + self.recipe.r1 * self.recipe.r1_every * terms["r1"]
        (loss * share).backward(inputs=list(self.group.parameters.values()))
        return {name: term.detach() for name, term in terms.items()}

    def step(self, rate: float) -> Tensor:
        """Learn from all pieces of all processes. 1 where the gradient was not finite and nothing was changed, else 0."""
        self.world.add_gradients(self.group.parameters.values())
        skipped = self.group.step(rate)
        if self.recipe.lecam:
            self.lecam.update(*self.world.add(self.seen).unbind())
        return skipped

    # --- state

    def state(self) -> dict[str, Tensor]:
        """Everything that a run needs to go on."""
        found = {f"net/{name}": t for name, t in self.net.state_dict().items()}
        found |= {f"lecam/{name}": t for name, t in self.lecam.state_dict().items()}
        return found | {f"optimiser/{name}": t for name, t in self.group.state().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`state`."""
        self.net.load_state_dict(_under("net/", state))
        self.lecam.load_state_dict(_under("lecam/", state))
        moments = _under("optimiser/", state)
        if moments:  # a discriminator that has rested so far has none
            self.group.load(moments)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _of(table: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise InputError(f"there is no {what} {name!r}; there are {', '.join(table)}")
    return table[name]
