"""Everything a user's file or argument can cause; each class knows the exit code of the command line."""


class TokodecError(Exception):
    """Base of every error that a user's file or argument can cause."""

    exit_code = 3


class InputError(TokodecError, ValueError):
    """A value that is not allowed; the message names it, what is allowed and what to do."""

    exit_code = 2


class UnsupportedInput(TokodecError, ValueError):
    """A picture that cannot be read or that we refuse: unknown format, animation, absurd size."""

    exit_code = 3


class MissingExtra(TokodecError, ImportError):
    """An optional dependency is absent; the message holds the install line."""

    exit_code = 6

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an optional dependency: pip install "tokodec[{extra}]"')
        self._given = (what, extra)

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        """So that it survives the way to another process."""
        return type(self), self._given


class NoInput(TokodecError):
    """No file matched."""

    exit_code = 4


class OutputExists(TokodecError):
    """The output is there already and nobody said --force."""

    exit_code = 5


class ModelNotFound(TokodecError, ValueError):
    """No model of that name, or its weights are not here."""

    exit_code = 6


class LicenceRefused(TokodecError, ValueError):
    """Weights under a licence that the policy in force does not allow."""

    exit_code = 6


class WeightsMismatch(TokodecError):
    """Weights that do not fit the model; the message lists missing, unexpected and misshaped keys."""

    exit_code = 6


class CorruptFile(TokodecError):
    """A file that is damaged, truncated, of an unknown version, or that claims what it cannot hold."""

    exit_code = 7


class FingerprintMismatch(TokodecError):
    """A file made with other weights, settings or tables than those of the model that should decode it."""

    exit_code = 7


class OutOfMemory(TokodecError):
    """Not enough memory for this picture."""

    exit_code = 8
