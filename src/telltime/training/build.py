"""A recipe's plain tree to objects, through jsonargparse."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from torch.optim import Optimizer

from telltime.media.files import whole
from telltime.training.errors import RecipeError
from telltime.training.keys import check_classes
from telltime.training.recipe import CLASSES, Options, Tree, draft
from telltime.training.schedules import Schedule


@dataclass(kw_only=True)
class Recipe(Options):
    """A recipe whose objects are made.

    Attributes:
        method: the module that is trained.
        optimiser: makes an optimiser of parameter groups.
        schedule: decides the learning rate.
    """

    method: nn.Module
    optimiser: Callable[[Any], Optimizer]
    schedule: Schedule


@dataclass(frozen=True)
class Resolved:
    """A recipe whose every key and value has been checked and every default filled in.

    Attributes:
        name: for messages.
        tree: plain values, every default written out.
    """

    name: str
    tree: Tree

    def build(self) -> Recipe:
        """Make the objects; initial weights depend on the recipe's seed alone.

        Raises:
            RecipeError: a constructor refuses its arguments.
        """
        parser = _parser()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.tree["seed"])
            try:
                made = parser.instantiate(parser.parse_object(self.tree))
            except (TypeError, ValueError, AttributeError) as error:
                raise RecipeError(f"recipe {self.name}: {_sentence(error)}") from error
        return Recipe(**{key.name: made[key.name] for key in fields(Recipe)})

    def write(self, path: Path) -> None:
        """Write the tree as YAML, whole or not at all."""
        with whole(path) as beside:
            beside.write_text(yaml.safe_dump(self.tree, sort_keys=False))


def resolve(recipe: str, assignments: list[str] | None = None, values: Tree | None = None) -> Resolved:
    """Find, read, override and check a recipe; arguments and errors as for :func:`telltime.training.recipe.draft`."""
    return checked(*draft(recipe, assignments, values))


def checked(name: str, tree: Tree) -> Resolved:
    """A raw tree with every key and value checked, and with its defaults.

    Raises:
        RecipeError: the message names the key and the nearest valid one.
    """
    from jsonargparse import ArgumentError

    check_classes(name, tree, (*CLASSES, *(["validation"] if tree.get("validation") else [])))
    parser = _parser()
    try:
        config = parser.parse_object(tree)
        full = yaml.safe_load(parser.dump(config, skip_unset=False))
    except (ArgumentError, TypeError, ValueError, KeyError) as error:
        raise RecipeError(f"recipe {name}: {_sentence(error)}") from error
    _sane(name, full)
    order = [*CLASSES, *(key.name for key in fields(Options))]
    return Resolved(name, {key: full[key] for key in order})


def _parser() -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe, None)
    return parser


def _sane(name: str, tree: Tree) -> None:
    positive = ("batch_size", "epochs", "accumulate", "log_every", "max_steps", "save_every", "clip_norm")
    for key in (*positive, "workers", "keep_every"):
        value = tree[key]
        if value is not None and (value < 0 or (value == 0 and key in positive)):
            raise RecipeError(
                f"recipe {name}: {key} must be {'above' if key in positive else 'at least'} 0, not {value}"
            )
    if not 0 <= tree["bad_media"]["max_share"] <= 1:
        raise RecipeError(
            f"recipe {name}: bad_media.max_share is a share in 0..1, not {tree['bad_media']['max_share']}"
        )


_NOISE = re.compile(
    r"(Parser key|Problem with given class_path|Given value|Subtypes:|Does not validate|Errors:"
    r"|Expected a <class 'NoneType'>)"
)


def _sentence(error: Exception) -> str:
    """jsonargparse's nested report on one line, its frames named as a dotted key."""
    text = str(error)
    keys = [key for key in re.findall(r'Parser key "([^"]+)"', text) if key]
    lines = [line.strip(" -") for line in text.splitlines()]
    told = " ".join(line for line in lines if line and not _NOISE.match(line))
    told = re.sub(r"<class '([\w.]+)'>", r"\1", told)
    told = re.sub(r"typing\.Literal\[(.+?)\]", r"value of \1", told)
    return f"{'.'.join(keys)}: {told}" if keys else told
