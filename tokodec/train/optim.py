"""Optimisers over named groups of parameters, and the moving average of weights."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatch

import torch
from torch import Tensor, nn

from tokodec.errors import InputError
from tokodec.train.muon import Muon, is_matrix
from tokodec.train.recipe import OptimiserRecipe

Parameters = Mapping[str, nn.Parameter]
Rule = Callable[[OptimiserRecipe, Parameters], list[torch.optim.Optimizer]]


def _adamw(recipe: OptimiserRecipe, parameters: Parameters) -> list[torch.optim.Optimizer]:
    betas = (recipe.betas[0], recipe.betas[1])
    values = list(parameters.values())
    return [torch.optim.AdamW(values, lr=recipe.learning_rate, betas=betas, weight_decay=recipe.weight_decay, fused=True)]


def _muon(recipe: OptimiserRecipe, parameters: Parameters) -> list[torch.optim.Optimizer]:
    matrices = {name: p for name, p in parameters.items() if name.endswith("weight") and is_matrix(p)}
    rest = {name: p for name, p in parameters.items() if name not in matrices}
    muon = Muon(matrices.values(), lr=recipe.learning_rate, momentum=_MOMENTUM, weight_decay=recipe.weight_decay)
    return [muon, *(_adamw(recipe, rest) if rest else ())]


_MOMENTUM = 0.95
RULES: Mapping[str, Rule] = {"adamw": _adamw, "muon": _muon}
"""How a group steps, by name: ``muon`` takes weights that are matrices and leaves the rest to AdamW.

Optimisers of a rule share the parameters out among them, skip a step where their ``found_inf`` is 1, and keep tensors by name.
"""


class Group:
    """The parameters of one optimiser, by name, and what steps them. Raises InputError for a rule that nobody knows."""

    def __init__(self, recipe: OptimiserRecipe, parameters: Parameters) -> None:
        if recipe.rule not in RULES:
            raise InputError(f"there is no optimiser {recipe.rule!r}; there are {', '.join(RULES)}")
        self.recipe = recipe
        self.parameters = dict(parameters)
        self.optimisers = RULES[recipe.rule](recipe, self.parameters)

    def step(self, rate: float) -> Tensor:
        """Clip, then step at ``rate`` times the learning rate. 1 where the gradient was not finite and nothing was changed, else 0.

        The optimisers themselves look at that number, on the device: the program never waits for it.
        """
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip)
        skipped = (~torch.isfinite(norm)).float()
        for optimiser in self.optimisers:
            optimiser.found_inf = skipped  # type: ignore[attr-defined]  # where fused optimisers expect it, as from a GradScaler
            for group in optimiser.param_groups:
                group["lr"] = self.recipe.learning_rate * rate
            optimiser.step()
        return skipped

    def state(self) -> dict[str, Tensor]:
        """Moments and counters by parameter name."""
        kept = {p: values for optimiser in self.optimisers for p, values in optimiser.state.items()}
        return {f"{name}/{key}": value for name, p in self.parameters.items() for key, value in kept.get(p, {}).items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of :meth:`state`."""
        names = {p: name for name, p in self.parameters.items()}
        for optimiser in self.optimisers:
            for p in (p for group in optimiser.param_groups for p in group["params"]):
                for path, value in state.items():
                    name, _, key = path.rpartition("/")
                    if name == names[p]:
                        optimiser.state[p][key] = _beside(p, value)


def _beside(p: nn.Parameter, value: Tensor) -> Tensor:
    """On the parameter's device, in its own memory format: a fused step walks over both as they lie in memory."""
    return torch.empty_like(p, requires_grad=False).copy_(value) if value.shape == p.shape else value.to(p.device)


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
