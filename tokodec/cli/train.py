"""tokodec train: a recipe to weights."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from tokodec import catalogue
from tokodec.cli import talk


def train(
    recipe: Annotated[str, Argument(metavar="RECIPE", help="A TOML file; codecs/NAME.toml also finds those of the package.")],
    *,
    data: Annotated[Path, Option(metavar="FOLDER", help="Where the recipe's shards are.")] = Path(),
    output: Annotated[Path | None, Option("--output", "-o", metavar="RUN", help="Folder of the run; by default runs/RECIPE.")] = None,
    device: Annotated[str, Option(metavar="NAME", help="cpu, cuda, cuda:1 ..., or auto.")] = "auto",
    threads: Annotated[int | None, Option(min=1, metavar="N", help="Threads of torch; the default is its own.")] = None,
) -> int:
    """Train a model by a recipe.

    The same command continues a run that was interrupted. Prints the path of the weights.
    """
    import torch

    from tokodec.machine import device_of
    from tokodec.train.loop import Trainer
    from tokodec.train.recipe import read_recipe

    if threads:
        torch.set_num_threads(threads)
    path = find(recipe)
    trainer = Trainer(read_recipe(path), output or Path("runs") / path.stem, device=device_of(device), base=data)
    talk.put(str(trainer.run()))
    return 0


def find(recipe: str) -> Path:
    """The recipe of that path, or the one of the package."""
    path = Path(recipe)
    if path.exists() or len(path.parts) != 2 or path.parts[0] not in ("codecs", "tokenizers"):
        return path
    return catalogue.folder(path.parts[0]) / path.parts[1]
