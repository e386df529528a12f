"""What discriminator and generator are to make of logits, and penalties that keep the first from winning too soon.

Sources: Goodfellow et al., "Generative adversarial nets", NeurIPS 2014; Lim and Ye, "Geometric GAN", 2017 (hinge); Tseng et al.,
"Regularizing generative adversarial networks under limited data", CVPR 2021 (LeCAM); Mescheder et al., "Which training methods
for GANs do actually converge?", ICML 2018 (R1); Esser et al., CVPR 2021 (adaptive weight).
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Logits = Float[Tensor, "..."]
Scalar = Float[Tensor, ""]


class Criterion(ABC):
    """Two losses of logits, high where a picture is taken for real."""

    @abstractmethod
    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        """To be made small by telling them apart."""

    @abstractmethod
    def generator(self, fake: Logits) -> Scalar:
        """To be made small by being taken for real."""


class Hinge(Criterion):
    """Logits beyond 1 on the right side count no more; the generator pushes them up without end."""

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2

    def generator(self, fake: Logits) -> Scalar:
        return -fake.mean()


class NonSaturating(Criterion):
    """Cross entropies: the generator's gradient is largest where it is found out."""

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2

    def generator(self, fake: Logits) -> Scalar:
        return F.softplus(-fake).mean()


class HingeNonSaturating(Hinge):
    """The discriminator of one and the generator of the other, as Open-MAGVIT2 and IBQ have it."""

    def generator(self, fake: Logits) -> Scalar:
        return F.softplus(-fake).mean()


class Vanilla(NonSaturating):
    """Cross entropy for the discriminator, logits pushed up without end for the generator, as in taming-transformers."""

    def generator(self, fake: Logits) -> Scalar:
        return -fake.mean()


class LeCAM(nn.Module):
    """Keeps logits near the moving averages of the other kind's."""

    real: Tensor
    fake: Tensor

    def __init__(self, decay: float = 0.999) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    def forward(self, real: Logits, fake: Logits) -> Scalar:
        return F.relu(real - self.fake).square().mean() + F.relu(self.real - fake).square().mean()

    @torch.no_grad()
    def update(self, real: Scalar, fake: Scalar) -> None:
        """Move towards the mean logits of a step; one that is not finite would stay for good, and moves nothing."""
        for average, seen in ((self.real, real), (self.fake, fake)):
            average.lerp_(torch.where(seen.isfinite(), seen, average), 1 - self.decay)


def r1(discriminator: nn.Module, real: Float[Tensor, "b 3 h w"]) -> Scalar:
    """Half the mean squared gradient of logits by real pictures."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2


class Weight(ABC):
    """How much the generator's adversarial loss counts beside its others."""

    @abstractmethod
    def __call__(self, others: Scalar, adversarial: Scalar, last_layer: Tensor) -> Scalar:
        """A factor without gradient."""


class FixedWeight(Weight):
    """Always 1."""

    def __call__(self, others: Scalar, adversarial: Scalar, last_layer: Tensor) -> Scalar:
        return torch.ones((), device=others.device)


class AdaptiveWeight(Weight):
    """As much as makes both gradients at the last layer equally long: ``|others| / (|adversarial| + 1e-4)``, at most 10,000."""

    def __call__(self, others: Scalar, adversarial: Scalar, last_layer: Tensor) -> Scalar:
        one, other = (torch.autograd.grad(loss, last_layer, retain_graph=True)[0].float().norm() for loss in (others, adversarial))
        return (one / (other + 1e-4)).clamp(0, 1e4).detach()
