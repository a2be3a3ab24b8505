"""The blocks of code of the documents, and the pieces of code within their text."""

import dataclasses
import pathlib
import re
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>\S*)\s*$")
MARK = re.compile(r"^<!-- (.+) -->$")


@dataclasses.dataclass
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str
    mark: str | None  # what an HTML comment above it says

    def __str__(self):
        return f"{self.page}:{self.line}"


def pages():
    """The documents for those who use Callboard: their paths from the root."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]


def scan(page):
    """The blocks of a page, in their order, and the text around them."""
    found, around, opened, mark = [], [], None, None
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if opened and fence and fence["fence"] == opened[1] and not fence["language"]:
            start, _, language, lines = opened
            found.append(Block(page, start, language, textwrap.dedent("\n".join(lines) + "\n"), mark))
            opened = mark = None
        elif opened:
            opened[3].append(line)
        elif fence:
            opened = (number, fence["fence"], fence["language"], [])
        else:
            around.append(line)
            if line.strip():
                mark = MARK.match(line.strip())
                mark = mark and mark[1]
    assert opened is None, f"{page}:{opened[0]}: the block has no end"
    return found, "\n".join(around)


def code(text):
    """The pieces of code within a text, each in one line."""
    return [re.sub(r"\s+", " ", piece) for piece in re.findall(r"`([^`]+)`", text)]
