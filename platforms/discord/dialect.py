"""Documents as Discord's Markdown: https://support.discord.com/hc/en-us/articles/210298617."""

import re
from typing import Any

from chatelier import PlainDialect

URL = re.compile(r"https?://[A-Za-z0-9\-._~:/?#@!$&'()+,;=%]+")
SIGNS = re.compile(r"([\\*_~`|>#\-\[\]<])")
WEB = re.compile(r"https?://\S+\Z")
BETWEEN = "\u200b"
"""Keeps two signs apart that would be read as one."""
MARKS = "*~`"


class DiscordDialect(PlainDialect):
    """Everything that Discord might read as markup is escaped, but for the addresses of pages, which it never does."""

    name = "discord-markdown"

    def text(self, text: str) -> str:
        pieces, end = [], 0
        for found in URL.finditer(text):
            pieces += [SIGNS.sub(r"\\\1", text[end : found.start()]), found[0]]
            end = found.end()
        return "".join([*pieces, SIGNS.sub(r"\\\1", text[end:])])

    def inlines(self, children: tuple[Any, ...]) -> str:
        whole = ""
        for piece in map(self.inline, children):
            touches = bool(whole and piece) and whole[-1] in MARKS and piece[0] in MARKS
            whole += (BETWEEN if touches else "") + piece
        return whole

    def bold(self, inner: str) -> str:
        return _around("**", inner)

    def italic(self, inner: str) -> str:
        return _around("*", inner)

    def strike(self, inner: str) -> str:
        return _around("~~", inner)

    def code(self, text: str) -> str:
        if "`" not in text:
            return f"`{text}`" if text.strip() else text
        return f"`` {text.replace('``', f'`{BETWEEN}`').replace('``', f'`{BETWEEN}`')} ``"

    def code_block(self, text: str, language: str) -> str:
        first = language if re.fullmatch(r"[A-Za-z0-9+#.-]{1,32}", language) else ""
        return f"```{first}\n{text.replace('```', f'``{BETWEEN}`')}\n```"

    def link(self, href: str, inner: str) -> str:
        if not WEB.match(href) or not inner.strip():
            return super().link(href, inner)
        return href if inner == href else f"[{inner}]({href.replace(')', '%29')})"

    def heading(self, level: int, inner: str) -> str:
        return f"{'#' * min(level, 3)} {' '.join(inner.split())}"

    def quote(self, inner: str) -> str:
        return "> " + inner.replace("\n", "\n> ")

    def rule(self) -> str:
        return "———"


def _around(mark: str, inner: str) -> str:
    """Blanks at its ends stand outside, where the marks still count; marks that meet others are kept apart."""
    bare = inner.strip()
    if not bare:
        return inner
    before, after = inner[: len(inner) - len(inner.lstrip())], inner[len(inner.rstrip()) :]
    first = BETWEEN if bare[0] == mark[0] else ""
    last = BETWEEN if bare[-1] == mark[0] or bare[-1] == "\\" else ""
    return f"{before}{mark}{first}{bare}{last}{mark}{after}"
