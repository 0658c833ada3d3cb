"""What the wizard remembers of its user: theme, keys, recent specs. Never needed to run."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
import tomlkit

RECENT = 8


@dataclass(slots=True)
class Config:
    """The user's choices.

    Attributes:
        keys: Binding id to keys, as `"design.build" = "f5,ctrl+b"`.
        recent: Spec files, the latest first.
        sizes: Bytes of the disk that a recent spec makes, where it was planned here.
        images: Images built or looked into, the latest first.
        motion: Whether anything may move that need not.
        warnings: What in the file could not be used, as sentences.
    """

    file: Path
    theme: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    motion: bool = True
    warnings: list[str] = field(default_factory=list)

    def remember(self, path: Path, size: int | None = None) -> None:
        """Puts a spec first among the recent ones; `size` is that of its disk, if known."""
        text = str(path.resolve())
        self.recent = _first(text, self.recent)
        if size is not None:
            self.sizes[text] = size
        self.sizes = {name: self.sizes[name] for name in self.recent if name in self.sizes}
        self.save()

    def remember_image(self, path: Path) -> None:
        """Puts an image first among the recent ones."""
        self.images = _first(str(path.resolve()), self.images)
        self.save()

    def save(self) -> None:
        """Writes the file; not being able to is not a reason to stop."""
        document = tomlkit.document()
        if self.theme:
            document["theme"] = self.theme
        if not self.motion:
            document["motion"] = False
        document["recent"] = list(self.recent)
        document["images"] = list(self.images)
        document["sizes"] = dict(self.sizes)
        document["keys"] = dict(self.keys)
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(tomlkit.dumps(document), encoding="utf-8")


def _first(text: str, others: list[str]) -> list[str]:
    return [text, *(other for other in others if other != text)][:RECENT]


def moves(environment: Mapping[str, str], config: Config) -> bool:
    """Whether anything may move: not for those who asked for less, one way or another."""
    less = environment.get("TEXTUAL_ANIMATIONS") == "none" or environment.get("NO_COLOR")
    return config.motion and not less


def load_config(file: Path | None = None) -> Config:
    """Reads the user's choices; what is wrong with the file is told, not raised."""
    file = file or Path(platformdirs.user_config_path("diskwright")) / "wizard.toml"
    config = Config(file)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return config
    except (OSError, ValueError) as error:
        config.warnings.append(f"{file}: not used: {error}")
        return config
    config.motion = values.get("motion") is not False
    theme, keys, recent = values.get("theme", ""), values.get("keys", {}), values.get("recent", [])
    if isinstance(theme, str):
        config.theme = theme
    if isinstance(keys, dict):
        config.keys = {str(k): v for k, v in keys.items() if isinstance(v, str)}
    if isinstance(recent, list):
        config.recent = [item for item in recent if isinstance(item, str)][:RECENT]
    images, sizes = values.get("images", []), values.get("sizes", {})
    if isinstance(images, list):
        config.images = [item for item in images if isinstance(item, str)][:RECENT]
    if isinstance(sizes, dict):
        config.sizes = {name: size for name, size in sizes.items() if type(size) is int}
    return config
