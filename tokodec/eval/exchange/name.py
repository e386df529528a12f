"""Names of contestants as names of files."""


def file_name(contestant: str) -> str:
    """Letters, digits and ``._-``; everything else becomes ``_``."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in contestant)
