"""Reading a page as a browser would."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Self


class Page(HTMLParser):
    """Tags, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)

    @classmethod
    def at(cls, path: Path) -> Self:
        return cls(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def dangers(self) -> list[str]:
        """Whatever could execute though we did not write it: handlers, scripts of others, frames, odd addresses."""
        found = [
            f"{tag} {name}" for tag, attrs in self.tags for name in attrs if name.startswith("on") or name == "style"
        ]
        found += [tag for tag, _ in self.tags if tag in {"iframe", "object", "embed", "base"}]
        for tag, attrs in self.tags:
            for name in ("href", "src", "action", "formaction"):
                address = attrs.get(name) or ""
                if name in attrs and not address.startswith(("/", "#", "data:image/webp;base64,")):
                    found.append(f"{tag} {name}={address}")
        return found
