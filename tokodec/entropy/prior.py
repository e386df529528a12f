"""What priors over ids share: trained in floats, used in whole numbers."""

from abc import ABC, abstractmethod

from torch import nn


class Prior(nn.Module, ABC):
    """What the objective ``id_bits`` trains."""

    @abstractmethod
    def arm(self) -> None:
        """Add the net that is trained. A model in use has none."""
