"""Boot: loader, kernel, command line, and the proof that it boots."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult

from engine.spec.loaders import LOADERS, Loader, presets_for
from engine.spec.settings import Settings
from tui.panes.base import Pane
from tui.preview import Preview
from tui.text import visible
from tui.widgets.choices import Choice, Choices
from tui.widgets.field import Field
from tui.widgets.labels import Plain
from tui.widgets.messages import SpecEdited
from tui.widgets.suggest import PathSuggester

_KERNEL_FIELDS = ("boot.kernel", "boot.initrd", "boot.cmdline")


class BootPane(Pane):
    """Decides how the image boots."""

    STEP = "boot"
    TITLE = "Boot"
    LEAD = "The boot loader, the kernel, and the test that it boots."

    @staticmethod
    def choice(preview: Preview, settings: Settings) -> str:
        """The loader, and whether it is tested."""
        loader = LOADERS.get(settings.boot.loader)
        title = "no loader" if loader is None or loader.key == "none" else loader.title
        return f"{title}, tested" if settings.boot.prove else title

    def form(self) -> ComposeResult:
        paths = PathSuggester(self.base)
        yield Plain("Boot loader", classes="section")
        yield Choices((), glyphs=self.glyphs, id="loader", help_text=_guide())
        yield Plain("", id="loader-why")
        yield self.field("boot.kernel", suggester=paths)
        yield self.field("boot.initrd", suggester=paths)
        yield self.field("boot.cmdline")
        yield self.field("boot.efi_variables")
        yield self.field("nix.install_boot_loader")
        yield Plain("Proof", classes="section")
        yield self.field("boot.prove")
        yield self.field("boot.expect")
        yield self.field("boot.timeout")
        yield self.field("vm.memory")
        yield Plain("Firmware of the virtual machine", classes="section", id="firmware-title")
        yield self.field("boot.firmware", suggester=paths)
        yield self.field("boot.firmware_variables", suggester=paths)

    def show(self, preview: Preview) -> None:
        """Shows the loaders with what speaks against each, and only the fields that count."""
        super().show(preview)
        settings = preview.settings
        if settings is None:
            return
        choices = self.query_one("#loader", Choices)
        choices.options = tuple(
            Choice(
                key,
                loader.title,
                detail=loader.summary,
                blocked=_against(loader, settings),
            )
            for key, loader in LOADERS.items()
        )
        choices.chosen = settings.boot.loader
        self._explain(settings.boot.loader)
        own_kernel = settings.boot.loader not in {"none", "nixos"}
        for path in _KERNEL_FIELDS:
            self._field(path).display = own_kernel
        uefi = settings.has("esp")
        self._field("boot.efi_variables").display = uefi
        self._field("nix.install_boot_loader").display = bool(settings.nix.system)
        self._field("boot.expect").display = settings.boot.prove
        self._field("boot.timeout").display = settings.boot.prove
        runs = settings.boot.prove or settings.boot.loader == "nixos"
        self._field("vm.memory").display = runs
        wanted = uefi and (runs or settings.boot.efi_variables)
        self.query_one("#firmware-title").display = wanted
        self._field("boot.firmware").display = wanted
        self._field("boot.firmware_variables").display = wanted

    def _field(self, path: str) -> Field:
        return self.query_one("#field-" + path.replace(".", "-").replace("_", "-"), Field)

    @on(Choices.Highlighted, "#loader")
    def _looked_at(self, event: Choices.Highlighted) -> None:
        self._explain(event.value)

    def _explain(self, key: str) -> None:
        loader = LOADERS.get(key)
        why = self.query_one("#loader-why", Plain)
        if loader is None:
            return
        problem = self.preview.problem_at("boot.loader")
        settings = self.preview.settings
        against = _against(loader, settings) if settings else ""
        if against:
            why.show(f"{self.glyphs.blocked} Not now: {against}")
        elif problem is not None and settings is not None and key == settings.boot.loader:
            why.show(f"{self.glyphs.state(problem.severity)} {visible(problem.message)}")
        else:
            why.show(loader.why)

    @on(Choices.Chosen, "#loader")
    def _taken(self, event: Choices.Chosen) -> None:
        event.stop()
        self.post_message(SpecEdited("boot.loader", event.value, "boot loader"))

    def focus_path(self, path: str) -> bool:
        """Also knows the loader."""
        if path in {"boot", "boot.loader"}:
            self.query_one("#loader").focus()
            return True
        return super().focus_path(path)


def _against(loader: Loader, settings: Settings) -> str:
    """Returns why a loader cannot be taken now, or ""."""
    if not loader.fits(settings.boots):
        fitting = ", ".join(preset.title for preset in presets_for(loader))
        return f"it needs one of these layouts: {fitting}"
    if loader.key == "nixos" and not settings.nix.system:
        return "it needs a Nix system (step Contents)"
    return ""


def _guide() -> str:
    rows = "\n\n".join(
        f"**{loader.title}**: {loader.summary}. {loader.why}" for loader in LOADERS.values()
    )
    return f"# Boot loader\n\n`boot.loader`\n\n{rows}\n"
