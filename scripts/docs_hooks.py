"""What MkDocs does not know of this repository.

Pages are read on the site and in the source tree alike, so their links are written for the tree: a hook turns them
into the site's. README.md, CONTRIBUTING.md, CHANGELOG.md, SECURITY.md and the zoo's cards become pages; a link to any
other file outside of docs/ becomes the file's name. A file that does not exist stays a link, and a strict build fails.
"""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs"
CARDS = "models/zoo"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contribute/index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "contribute/security.md",
    **{f"{CARDS}/{card.name}": f"zoo/{card.name}" for card in sorted((ROOT / CARDS).glob("*.md"))},
}
"""Files outside of docs/, and the pages they become."""

SOURCES = {page: source for source, page in PAGES.items()}
CARD_LIST = "<!-- cards -->"
FENCE = re.compile(r"(^```.*?^```[^\n]*$)", re.DOTALL | re.MULTILINE)
IMAGE = r"!\[[^\]]*\]\((?P<image>[^)\s]+)\)"
LINK = re.compile(rf"{IMAGE}|\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = page.file.src_uri
    page.meta["hide"] = [side for side, empty in empty_sides(here, markdown).items() if empty]
    parts = FENCE.split(markdown.replace(CARD_LIST, card_list()))
    return "".join(part if part.startswith("```") else LINK.sub(partial(relink, page=here), part) for part in parts)


def empty_sides(page: str, markdown: str) -> dict[str, bool]:
    """Which columns beside a page would stand empty."""
    return {
        "navigation": page == "index.md" or page.startswith("zoo/"),
        "toc": not re.search("^##+ ", FENCE.sub("", markdown), re.MULTILINE),
    }


def card_list() -> str:
    """A line for each bundle of the zoo: a link to its card, and the card's first sentence."""
    texts = {name: (ROOT / name).read_text(encoding="utf-8").splitlines() for name in PAGES if name.startswith(CARDS)}
    return "\n".join(
        f"- [{PurePosixPath(name).stem}](../{name}): {lines[2].partition('. ')[0].removesuffix('.')}."
        for name, lines in texts.items()
    )


def relink(link: re.Match[str], page: str) -> str:
    """A link of the source tree as the site wants it."""
    target = link["image"] or link["target"]
    path, mark, anchor = target.partition("#")
    if not path or "://" in target or target.startswith("mailto:"):
        return link[0]
    named = os.path.normpath(PurePosixPath(SOURCES.get(page, f"{DOCS}/{page}")).parent / path)
    place = place_of(named)
    if place is not None:
        there = os.path.relpath(place, PurePosixPath(page).parent)
        return link[0].replace(f"({target})", f"({there}{mark}{anchor})")
    if (ROOT / named).exists() and link["text"]:
        return link["text"] if f"`{named}`" in link["text"] else f"{link['text']} (`{named}`)"
    return link[0]


def place_of(named: str) -> str | None:
    """Where a file of the repository is on the site; None where it is not."""
    if named in PAGES:
        return PAGES[named]
    if not named.startswith(f"{DOCS}/"):
        return None
    inside = named.removeprefix(f"{DOCS}/")
    return f"{inside}/README.md" if (ROOT / named / "README.md").is_file() else inside
