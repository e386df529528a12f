"""Optimisers over named groups of parameters, and the moving average of weights."""

from collections.abc import Mapping
from fnmatch import fnmatch

import torch
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.train.recipe import OptimiserRecipe


class Group:
    """The parameters of one optimiser, by name, and AdamW over them."""

    def __init__(self, recipe: OptimiserRecipe, parameters: Mapping[str, nn.Parameter]) -> None:
        self.recipe = recipe
        self.parameters = dict(parameters)
        self.adam = torch.optim.AdamW(
            list(self.parameters.values()),
            lr=recipe.learning_rate,
            betas=(recipe.betas[0], recipe.betas[1]),
            weight_decay=recipe.weight_decay,
            fused=True,
        )

    def step(self, rate: float) -> Tensor:
        """Clip, then step at ``rate`` times the learning rate. 1 where the gradient was not finite and nothing was changed, else 0.

        The optimiser itself looks at that number, on the device: the program never waits for it.
        """
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip)
        skipped = (~torch.isfinite(norm)).float()
        self.adam.found_inf = skipped  # type: ignore[attr-defined]  # where fused optimisers expect it, as from a GradScaler
        for group in self.adam.param_groups:
            group["lr"] = self.recipe.learning_rate * rate
        self.adam.step()
        return skipped

    def state(self) -> dict[str, Tensor]:
        """Moments and counters by parameter name."""
        return {f"{name}/{key}": value for name, p in self.parameters.items() for key, value in self.adam.state.get(p, {}).items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`state`."""
        for name, p in self.parameters.items():
            for key in ("exp_avg", "exp_avg_sq"):
                # In the parameter's own memory format: the fused step walks over both as they lie in memory.
                self.adam.state[p][key] = torch.empty_like(p, requires_grad=False).copy_(state[f"{name}/{key}"])
            self.adam.state[p]["step"] = state[f"{name}/step"].to(p.device)


def groups(model: nn.Module, recipes: Mapping[str, OptimiserRecipe]) -> dict[str, Group]:
    """One group an optimiser, of the parameters that want gradients.

    Raises InputError when one belongs to no optimiser or an optimiser has none.
    """
    members: dict[str, dict[str, nn.Parameter]] = {name: {} for name in recipes}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        owner = next((o for o, r in recipes.items() if any(fnmatch(name, pattern) for pattern in r.parameters)), None)
        if owner is None:
            raise InputError(
                f"no optimiser of the recipe takes the parameter {name}; its patterns are {[r.parameters for r in recipes.values()]}"
            )
        members[owner][name] = parameter
    idle = [name for name, parameters in members.items() if not parameters]
    if idle:
        raise InputError(f"optimiser {', '.join(idle)} matches no parameter of the model")
    return {name: Group(recipe, members[name]) for name, recipe in recipes.items()}


class Average:
    """An exponential moving average of a model's parameters; young averages forget faster."""

    def __init__(self, model: nn.Module, average: nn.Module, decay: float) -> None:
        self._average: list[Tensor] = list(average.parameters())
        self._current: list[Tensor] = list(model.parameters())
        self._decay = decay
        self.model = average.requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the model's weights after ``step``, counted from 0."""
        weight = 1 - min(self._decay, (step + 1) / (step + 10))
        # Of all parameters in a few launches; torch has no public name for it.
        torch._foreach_lerp_(self._average, self._current, weight)  # type: ignore[attr-defined]
