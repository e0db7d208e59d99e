"""What can go wrong with a recipe or a run folder; each message is one sentence that names the next step."""


class TrainingError(Exception):
    """A training cannot start or go on."""


class RecipeError(TrainingError):
    """The recipe is unknown, holds an unknown key or a value of the wrong kind."""


class RunError(TrainingError):
    """The run folder cannot be written or continued."""
