"""The frame of every page, and the parts that pages have in common. Text that comes in is escaped here, markup is not."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template


def whole(title: str, body: str, *, style: str, script: str) -> str:
    """A page. ``body``: markup; ``style`` and ``script`` are added to what all pages have."""
    return Template(_part("page.html")).substitute(title=escape(title), style=_part("page.css") + style, script=script, body=body)


def _part(name: str) -> str:
    return (files("tokodec.page") / name).read_text(encoding="utf-8")


def tiles(shown: Iterable[tuple[str, str, str]]) -> str:
    """Figures in large letters: name, value and what more there is to say, all three markup."""
    items = "".join(f"<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>" for name, value, more in shown)
    return f'<dl class="tiles">{items}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of text whose first column names the row."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
