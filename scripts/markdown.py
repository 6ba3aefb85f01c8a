"""Paragraphs and list items of Markdown wrapped at a width; what has no longer line stays as it is."""

from __future__ import annotations

import re
import textwrap

ITEM = re.compile(r"^(\s*)([-*] |\d+\. )")
APART = re.compile(r"^\s*($|[|#<]|!\[|```|-{3,})")
"""Lines that belong to no paragraph: empty ones, tables, headings, HTML, pictures, fences, rules."""


def wrapped(text: str, width: int) -> str:
    lines, out, code, listed, at = text.split("\n"), [], False, False, 0
    while at < len(lines):
        line = lines[at]
        item = ITEM.match(line)
        code ^= line.lstrip().startswith("```")
        indented = line.startswith("    ") and not item and not listed
        if code or APART.match(line) or indented:
            out.append(line)
            listed &= not line or line.startswith(" ")
            at += 1
            continue
        end = at + 1
        while end < len(lines) and not APART.match(lines[end]) and not ITEM.match(lines[end]):
            end += 1
        block, at = lines[at:end], end
        first = item[0] if item else line[: len(line) - len(line.lstrip())]
        listed = bool(item) or (listed and bool(first))
        if any(len(one) > width for one in block):
            words = " ".join([block[0][len(first) :], *(one.strip() for one in block[1:])])
            block = textwrap.wrap(
                words,
                width,
                initial_indent=first,
                subsequent_indent=" " * len(first),
                break_long_words=False,
                break_on_hyphens=False,
            )
        out += block
    return "\n".join(out)
