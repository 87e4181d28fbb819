"""Documents as Telegram's HTML: https://core.telegram.org/bots/api#html-style."""

import html
import re

from chatelier import TagDialect, Unit

LANGUAGE = re.compile(r"[A-Za-z0-9+#._-]{1,32}")
WEB = re.compile(r"https?://", re.IGNORECASE)


class TelegramDialect(TagDialect):
    """Only the tags that Telegram knows; it refuses a message with any other, and quotes in quotes."""

    name = "telegram-html"
    unit: Unit = "utf16"

    def text(self, text: str) -> str:
        return html.escape(text, quote=False)

    def code(self, text: str) -> str:
        return f"<code>{self.text(text)}</code>"

    def link(self, href: str, inner: str) -> str:
        return (
            f'<a href="{html.escape(href)}">{inner}</a>'
            if WEB.match(href)
            else super(TagDialect, self).link(href, inner)
        )

    def heading(self, level: int, inner: str) -> str:
        return f"<b>{inner}</b>"

    def code_block(self, text: str, language: str) -> str:
        if LANGUAGE.fullmatch(language):
            return f'<pre><code class="language-{language}">{self.text(text)}</code></pre>'
        return f"<pre>{self.text(text)}</pre>"

    def quote(self, inner: str) -> str:
        flat = inner.replace("<blockquote>", "").replace("</blockquote>", "")
        return f"<blockquote>{flat}</blockquote>"

    def rule(self) -> str:
        return "———"
