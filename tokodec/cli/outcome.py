"""What becomes of one input, in values that can travel between processes."""

from dataclasses import dataclass

from tokodec.cli import talk
from tokodec.cli.paths import Job
from tokodec.cli.streams import shown


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job made. ``size``: bytes of its .tkd file; ``remark``: what else there is to say."""

    size: int
    pixels: int
    remark: str = ""

    @property
    def bpp(self) -> float:
        """Bits of the whole .tkd file per pixel."""
        return 8 * self.size / self.pixels


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error in words, since not every exception can travel. ``code``: exit code; ``trace``: of one that is ours, where it comes from."""

    words: str
    code: int
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Of an error that was caught."""
        return cls(words=talk.words(error), code=talk.code_of(error), trace=talk.trace_of(error))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A job that was tried. ``seconds`` of work on it, waits left out."""

    job: Job
    seconds: float
    result: Result | None = None
    failure: Failure | None = None

    def row(self) -> dict[str, object]:
        """The JSON object of ``--json``."""
        return {
            "input": shown(self.job.source),
            "output": shown(self.job.target),
            "bytes": self.result and self.result.size,
            "bpp": self.result and round(self.result.bpp, 6),
            "seconds": round(self.seconds, 3),
            "ok": self.failure is None,
            "error": None if self.failure is None else talk.located(self.failure.words, shown(self.job.source)),
        }

    def line(self) -> str:
        """What is said of it on stderr."""
        source = shown(self.job.source)
        if self.failure is not None:
            return f"tokodec: {talk.located(self.failure.words, source)}"
        if self.result is None:
            return f"{source}: left out, {shown(self.job.target)} exists"
        remark = f", {self.result.remark}" if self.result.remark else ""
        return f"{source} -> {shown(self.job.target)}: {self.result.size} bytes, {self.result.bpp:.3f} bpp, {self.seconds:.1f} s{remark}"
