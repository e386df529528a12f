"""The training loop: draw, forward, weigh, step, average; log, validate, save."""

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokodec.api import Autoencoder, DiscreteTokenizer, Output
from tokodec.data import shards
from tokodec.data.crops import Batch, CropConfig, Crops
from tokodec.data.resident import ResidentCrops
from tokodec.entropy.prior import Prior
from tokodec.entropy.rounding import ROUNDINGS, Rounded
from tokodec.errors import InputError
from tokodec.losses.objective import OBJECTIVES, Objective
from tokodec.nn.resnet import ConvBlock
from tokodec.pretrained import store
from tokodec.pretrained import tensors as disk
from tokodec.quantizers.base import Quantized, Quantizer
from tokodec.settings import fill
from tokodec.train.adversary import Adversary
from tokodec.train.optim import Average, groups
from tokodec.train.recipe import ObjectiveRecipe, Recipe
from tokodec.train.schedule import moment, past
from tokodec.train.validate import Validation
from tokodec.train.world import World
from tokodec.zoo import MODELS, create, newest


class Trainer:
    """One run in one folder. Made again over the same folder, it continues where the last checkpoint stands."""

    def __init__(self, recipe: Recipe, out: Path, *, device: torch.device, base: Path = Path()) -> None:
        self.recipe, self.out, self.device = recipe, out, device
        self.world = World(device)
        out.mkdir(parents=True, exist_ok=True)
        train, validation = shards.split(_find_shards(recipe, base), recipe.data.validation_below)
        times = recipe.data.times
        self.crops: Crops | ResidentCrops = (
            Crops(train, seed=recipe.seed, times=times, cache_bytes=int(recipe.data.cache_gib * 2**30))
            if device.type == "cpu"
            else ResidentCrops(train, seed=recipe.seed, times=times, device=device)
        )
        entry = MODELS[newest(recipe.model, MODELS)]
        if entry.input != "rgb":
            raise InputError(f"{recipe.model} takes {entry.input}; shards hold photographs, so it cannot be trained here")
        if entry.gives:
            raise InputError(f"{recipe.model} decodes to {entry.gives}; validation compares pictures, so it cannot be trained here")
        self.variable_rate = entry.variable_rate
        self.validation = Validation(validation, train, recipe.validation_pictures, self._qualities())
        torch.manual_seed(recipe.seed)
        self.model = self._build()
        average = self._build()
        average.load_state_dict(self.model.state_dict())
        self.average = Average(self.model, average, recipe.ema)
        self._arm()
        self.groups = groups(self.model, recipe.optimiser)
        self.adversary = Adversary(recipe.adversary, self.model, self.world, device) if recipe.adversary is not None else None
        self.objectives = [(o, _objective(o)) for o in recipe.objective]
        if recipe.compile and device.type == "cuda":
            self._compile()
        self.step, self.seconds, self.skipped = 0, 0.0, torch.zeros((), device=device)
        self.ids: Tensor | None = None
        self._resume()

    def _build(self) -> Autoencoder[Any]:
        model = create(self.recipe.model, self.recipe.overrides).to(self.device).to(memory_format=torch.channels_last)
        assert isinstance(model, Autoencoder)
        if self.recipe.warm_start:
            fresh = {name: t for name, t in model.state_dict().items() if self._fresh(name)}
            found = store.load(self.recipe.warm_start).state_dict()
            model.load_state_dict({name: t for name, t in found.items() if not self._fresh(name)} | fresh)
        if "id_bits" in (objective.name for objective in self.recipe.objective):
            for module in model.modules():
                if isinstance(module, Prior):
                    module.arm()
        return model

    def _compile(self) -> None:
        """Block by block: blocks of one shape share what is compiled, so it takes seconds where a whole model takes minutes."""
        for module in self.model.modules():
            if isinstance(module, ConvBlock):
                module.compile(dynamic=False)

    def _arm(self) -> None:
        """Give the model what only training needs, and keep what is frozen from changing."""
        for name, parameter in self.model.named_parameters():
            if self._frozen(name):
                parameter.requires_grad_(False)
        for name, module in self.model.named_modules():
            if isinstance(module, Quantizer) and not self._frozen(f"{name}."):
                module.arm()
                if self.recipe.warm_start and not self._fresh(f"{name}."):
                    module.start_from_codes()

    def _frozen(self, name: str) -> bool:
        return _matches(name, self.recipe.frozen)

    def _fresh(self, name: str) -> bool:
        return _matches(name, self.recipe.fresh)

    def _qualities(self) -> tuple[float | None, ...]:
        return self.recipe.validation_qualities if self.variable_rate else (None,)

    # --- running

    def run(self) -> Path:
        """Train to the last step; returns the weights file."""
        pieces = self.world.share(self.recipe.batch // self.recipe.micro_batch)
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead = self._draw(reader, self.step, pieces) if self.step < self.recipe.steps else []
            while self.step < self.recipe.steps:
                start = time.monotonic()
                batches = [f.result() for f in ahead]
                if self.step + 1 < self.recipe.steps:
                    ahead = self._draw(reader, self.step + 1, pieces)
                terms = self._one_step(pieces, batches)
                self.step += 1
                self.seconds += time.monotonic() - start
                self._after_step(terms)
        weights = self.export()
        self.world.close()
        return weights

    def _draw(self, reader: ThreadPoolExecutor, step: int, pieces: range) -> list[Future[Batch]]:
        phase = moment(self.recipe, step).phase
        config = CropConfig(size=phase.crop, reduce_from=phase.reduce_from, quality_power=phase.quality_power)
        each, batch = self.recipe.micro_batch, self.recipe.batch
        return [reader.submit(self.crops.batch, step * batch + piece * each, each, config) for piece in pieces]

    def _one_step(self, pieces: range, batches: Sequence[Batch]) -> dict[str, Tensor]:
        now = moment(self.recipe, self.step)
        self.model.train()
        if isinstance(self.model, Rounded):
            self.model.rounding = ROUNDINGS[now.phase.rounding]()
        self.model.zero_grad(set_to_none=True)
        if self.adversary is not None:
            self.adversary.rest(self.device)
        total = self.recipe.batch // self.recipe.micro_batch
        sums: dict[str, Tensor] = {}
        for piece, batch in zip(pieces, batches, strict=True):
            torch.manual_seed(int(np.random.SeedSequence((self.recipe.seed, self.step, piece)).generate_state(1)[0]))
            terms = self._one_piece(batch.to(self.device), total)
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach() / total
        for group in self.groups.values():
            self.world.add_gradients(group.parameters.values())
        for group in self.groups.values():
            self.skipped += group.step(now.rate)
        if self.adversary is not None and now.phase.adversary:
            self.skipped += self.adversary.step(now.rate)
        self.average.update(self.step)
        return {name: self.world.add(value) for name, value in sums.items()}

    def _one_piece(self, batch: Batch, total: int) -> dict[str, Tensor]:
        x = batch.pixels.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            output: Output = self.model(x, quality=batch.quality if self.variable_rate else None)
        self.ids = output.aux.get("ids")
        output.aux.update(picture=batch.picture, window=batch.window)
        losses: dict[str, Tensor] = {}
        found: dict[str, Tensor] = {}
        for recipe, objective in self.objectives:
            found[recipe.name] = objective(x, batch.quality, output).mean()
            losses[recipe.optimiser] = losses.get(recipe.optimiser, 0) + recipe.weight * found[recipe.name]
        found.pop("term", None)  # goes by its own name
        reported = {name: term.mean() for name, term in output.terms.items()}
        terms = {"loss": torch.stack(list(losses.values())).sum(), **(found if len(self.objectives) > 1 else {}), **reported}
        strength = moment(self.recipe, self.step).phase.adversary
        if self.adversary is not None and strength:
            terms |= self._against(self.adversary, x, output, losses, strength, 1 / total)
        for i, (name, loss) in enumerate(losses.items()):
            more = i + 1 < len(losses)
            (loss / total).backward(inputs=list(self.groups[name].parameters.values()), retain_graph=more)
        return terms

    def _against(
        self, adversary: Adversary, x: Tensor, output: Output, losses: dict[str, Tensor], strength: float, share: float
    ) -> dict[str, Tensor]:
        """Add the adversarial loss to ``losses``, and let the discriminator see the piece."""
        if output.pixels is None:
            raise InputError("a phase with an adversary needs a model that makes pictures")
        first = next(iter(losses))
        with self._autocast():
            verdict = adversary.judge(output.pixels, losses[first], strength)
            losses[first] = losses[first] + verdict.loss
            return verdict.terms | adversary.learn(x, output.pixels, self.step, share)

    def _autocast(self) -> AbstractContextManager[Any]:
        wanted = self.recipe.autocast and (self.device.type != "cpu" or _has_bf16())
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if wanted else nullcontext()

    # --- what a run leaves

    def _after_step(self, terms: dict[str, Tensor]) -> None:
        last = self.step == self.recipe.steps
        if self.world.rank:
            return
        if self.step % self.recipe.log_every == 0 or last:
            found = {**{n: round(float(v), 6) for n, v in terms.items()}, **self._codes_in_use()}
            self._log({"step": self.step, "seconds": round(self.seconds, 1), **found})
        if self.step % self.recipe.checkpoint_every == 0 or last:
            self._save()
        if self.step % self.recipe.validate_every == 0 and not last:
            self._validate()

    def _codes_in_use(self) -> dict[str, float]:
        """Usage and perplexity of the ids of the last piece, of models that have some."""
        quantizer = getattr(self.model, "quantizer", None)
        if self.ids is None or not isinstance(quantizer, Quantizer):
            return {}
        several = len(quantizer.vocab) > 1
        ids = self.ids.flatten(1, -2) if several else self.ids.flatten(1)
        seen = Quantized(z=torch.empty(len(ids), 0, 0), ids=ids, vocab=quantizer.vocab)
        return {"usage": round(seen.usage, 6), "perplexity": round(seen.perplexity, 3)}

    def _log(self, line: dict[str, Any]) -> None:
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        left = (self.recipe.steps - self.step) * self.seconds / max(self.step, 1)
        shown = "  ".join(f"{k} {v}" for k, v in line.items() if k not in ("step", "seconds"))
        sys.stderr.write(f"{self.step}/{self.recipe.steps}  {shown}  {self.seconds / 60:.1f} min, {left / 60:.0f} min left\n")

    def _validate(self) -> None:
        self.validation.prepare(self.average.model)
        self._measure()

    def _measure(self) -> None:
        store.save(self.average.model, self.out / "latest.safetensors", name=self.recipe.model)
        self._log({"step": self.step, "seconds": round(self.seconds, 1), "validation": self.validation.measure(self.average.model)})
        self.validation.grid(self.average.model, self.out / "validation.png")

    def export(self) -> Path:
        """The averaged weights as one file, ready to be loaded; codecs get their exact tables here."""
        path = self.out / "model.safetensors"
        if self.world.rank == 0:
            if not self._only_decodes():
                self.validation.finish(self.average.model)
            store.save(self.average.model, path, name=self.recipe.model, base=self.recipe.base)
            self._measure()
        return path

    def _only_decodes(self) -> bool:
        """Whether the run trains nothing but a decoder of given ids, which then stay in the order that they are in."""
        model, trained = self.model, [name for name, _ in self.model.named_parameters() if not self._frozen(name)]
        return isinstance(model, DiscreteTokenizer) and not any(model.decides_ids(name) or name.startswith("prior.") for name in trained)

    # --- state

    def _save(self) -> None:
        tensors = {f"model/{n}": t for n, t in self.model.state_dict().items()} | {
            f"average/{n}": t for n, t in self.average.model.state_dict().items()
        }
        for name, group in self.groups.items():
            tensors |= {f"optimiser/{name}/{key}": t for key, t in group.state().items()}
        if self.adversary is not None:
            tensors |= {f"adversary/{key}": t for key, t in self.adversary.state().items()}
        meta = {
            "step": self.step,
            "seconds": self.seconds,
            "skipped": int(self.skipped),
            "past": past(self.recipe, self.step),
            "recipe": asdict(self.recipe),
        }
        disk.write(self.out / "checkpoint.safetensors", tensors, meta)

    def _resume(self) -> None:
        path = self.out / "checkpoint.safetensors"
        if not path.exists():
            (self.out / "log.jsonl").unlink(missing_ok=True)
            return
        tensors, meta = disk.read(path)
        _check_same(self.recipe, meta)
        self.step, self.seconds = meta["step"], meta["seconds"]
        self.skipped.fill_(meta["skipped"])
        self.model.load_state_dict(_under("model/", tensors))
        self.average.model.load_state_dict(_under("average/", tensors))
        for name, group in self.groups.items():
            group.load(_under(f"optimiser/{name}/", tensors))
        if self.adversary is not None:
            self.adversary.load(_under("adversary/", tensors))
        log = self.out / "log.jsonl"
        if log.exists():
            lines = [
                line
                for line in log.read_text(encoding="utf-8").splitlines()
                if line.endswith("}") and json.loads(line)["step"] <= self.step
            ]
            log.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _check_same(recipe: Recipe, meta: dict[str, Any]) -> None:
    """The numbers of a run must not change in its middle. Phases that lie ahead may."""
    ahead = {"phase", "log_every", "checkpoint_every", "validate_every", "validation_pictures", "validation_qualities"}
    said = {name: value for name, value in meta["recipe"].items() if value is not None}
    now, before = _plain(recipe), _plain(fill(Recipe, said, "the checkpoint"))  # an older one lacks what is new
    changed = [name for name, value in now.items() if name not in ahead and value != before[name]]
    if past(recipe, meta["step"]) != meta["past"]:
        changed.append("phase")
    if changed:
        raise InputError(
            f"the run in this folder is at step {meta['step']} of another recipe ({', '.join(changed)} differ); choose another folder"
        )


def _plain(recipe: Recipe) -> dict[str, Any]:
    """As JSON has it."""
    return json.loads(json.dumps(asdict(recipe)))


def _objective(recipe: ObjectiveRecipe) -> Objective:
    if recipe.name not in OBJECTIVES:
        raise InputError(f"there is no objective {recipe.name!r}; there are {', '.join(OBJECTIVES)}")
    objective: Objective = fill(OBJECTIVES[recipe.name], recipe.settings, f"objective {recipe.name}")
    return objective


def _find_shards(recipe: Recipe, base: Path) -> list[shards.Sample]:
    paths = [path for pattern in recipe.data.shards for path in base.glob(pattern)]
    if not paths:
        raise InputError(f"no shard matches {', '.join(recipe.data.shards)} in {base.resolve()}")
    return shards.index(paths)


def _has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  there is no public name
