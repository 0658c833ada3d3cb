"""Every key of the wizard: one table that bindings, footer, help and palette read.

Ctrl+H, Ctrl+I, Ctrl+J, Ctrl+M and Ctrl+[ are Backspace, Tab, line feed, Enter and Escape on
a terminal and so never appear here. F1, F10 and F11 may be taken by the terminal itself: F1
has an alias, the others are not used. What has a function key has a letter as well, behind Ctrl+G.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding, BindingType

Place = Literal[
    "app",
    "start",
    "design",
    "rail",
    "map",
    "table",
    "choices",
    "contents",
    "volumes",
    "breakdown",
    "dialog",
    "help",
    "keys",
    "entry",
    "picker",
    "path",
    "extract",
    "problems",
    "usage",
    "closure",
    "image",
    "files",
    "view",
    "compare",
    "flash",
    "rows",
    "jump",
    "build",
    "fleet",
    "verb",
    "console",
    "stages",
    "log",
    "logpane",
    "spec",
    "filing",
]


@dataclass(frozen=True, slots=True)
class Key:
    """One binding.

    Attributes:
        place: Where it acts.
        name: Its id is `place.name`, which a user's keymap names.
        keys: Key names, comma separated; the first is the one shown.
        label: Two words at most, for the footer.
        tooltip: A sentence, for help, tooltip and palette.
        show: It stands in the footer.
        palette: It stands in the command palette.
        priority: It acts before the focused widget sees the key.
        letter: What runs it from the list of keys (Ctrl+G), where its own key is a function key
            or may belong to a browser, a terminal or a multiplexer.
    """

    place: Place
    name: str
    keys: str
    action: str
    label: str
    tooltip: str
    show: bool = False
    palette: bool = True
    priority: bool = False
    letter: str = ""

    @property
    def id(self) -> str:
        """The name in a keymap."""
        return f"{self.place}.{self.name}"

    def binding(self) -> Binding:
        """Returns it as Textual wants it."""
        return Binding(
            self.keys,
            self.action,
            self.label,
            show=self.show,
            id=self.id,
            tooltip=self.tooltip,
            priority=self.priority,
        )


KEYS: tuple[Key, ...] = (
    Key("app", "help", "f1,question_mark", "explain", "Help",
        "Explain the focused field and list the keys", show=True, letter="?"),
    Key("app", "keys", "ctrl+g", "keys", "Keys",
        "List the keys of this page; from there a letter does what a function key does",
        show=True, palette=False),
    Key("app", "commands", "f2,ctrl+p", "command_palette", "Actions",
        "Search every action by name", palette=False, letter=":"),
    Key("start", "forget", "delete", "forget", "Forget",
        "Discard the unsaved session under the cursor", palette=False),
    Key("start", "leave", "escape", "leave_line", "Leave", "Go from the line to the offers",
        palette=False),
    Key("design", "next", "f6", "next_step", "Next", "Go to the next step", show=True, letter="n"),
    Key("design", "previous", "shift+f6", "previous_step", "Previous",
        "Go to the previous step", letter="v"),
    Key("design", "table", "f7", "toggle_table", "Table",
        "Show the partition table and the sizes in full, or the form again", show=True, letter="t"),
    Key("design", "spec", "ctrl+l", "toggle_spec", "Spec",
        "Show the spec as it would be saved, or the form again", letter="l"),
    Key("design", "problems", "f8", "problems", "Problems",
        "List every problem; Enter goes to it, F9 fixes it", show=True, letter="!"),
    Key("design", "build", "f5", "build", "Build",
        "Review the plan, then build it", show=True, letter="b"),
    Key("design", "fix", "f9", "fix", "Fix",
        "Apply the fix offered for the focused field, or the first one offered", letter="f"),
    Key("design", "save", "ctrl+s", "save", "Save", "Save the spec as TOML", letter="s"),
    Key("design", "save_as", "f12", "save_as", "Save as", "Save the spec under another name",
        letter="w"),
    Key("design", "undo", "ctrl+z", "undo", "Undo", "Undo the last edit", letter="z"),
    Key("design", "redo", "ctrl+y", "redo", "Redo", "Redo the edit that was undone", letter="y"),
    Key("design", "jump", "ctrl+o", "jump", "Jump", "Go to any field by one letter", letter="o"),
    Key("design", "scale", "ctrl+t", "toggle_scale", "Scale",
        "Partition map: to scale, or equal widths", letter="r"),
    Key("design", "exact", "ctrl+b", "toggle_exact", "Exact",
        "Show sizes in bytes, or rounded again", letter="i"),
    Key("design", "map", "f4", "focus_map", "Map", "Go to the partition map", letter="m"),
    Key("design", "back", "escape", "back", "Back",
        "Leave the field, then the step; nothing is lost", palette=False),
    Key("design", "start", "f3", "start", "Start", "Go to the start page", letter="h"),
    *(
        Key("design", f"step{number}", f"alt+{number},{number}", f"step({number - 1})",
            "Step", "Go to a step by its number; the digit alone where no text is typed",
            palette=False, letter=str(number))
        for number in range(1, 7)
    ),
    Key("contents", "add", "a,insert", "add", "Add", "Add an entry"),
    Key("contents", "edit", "e,enter", "edit", "Edit", "Edit the entry"),
    Key("contents", "duplicate", "d", "duplicate", "Duplicate", "Duplicate the entry"),
    Key("contents", "up", "shift+up,k", "move(-1)", "Up", "Move the entry up"),
    Key("contents", "down", "shift+down,j", "move(1)", "Down", "Move the entry down"),
    Key("contents", "remove", "delete,x", "remove", "Remove",
        "Remove the entry; Ctrl+Z brings it back"),
    Key("contents", "keep", "slash", "keep", "Filter",
        "Show only the entries with a text in them"),
    Key("contents", "all", "escape", "all", "All", "Show all entries again", palette=False),
    Key("contents", "usage", "u", "usage", "What is large",
        "Show what is large in the image, folder by folder"),
    Key("contents", "panes", "p", "panes", "Panes",
        "Show source and image side by side, and copy from one to the other"),
    Key("contents", "closure", "c", "closure", "Closure",
        "Show where the Nix closure's space goes, and why each path is there"),
    Key("volumes", "add", "a,insert", "add", "Add", "Add a volume to the disk"),
    Key("volumes", "edit", "e", "edit", "Edit", "Edit the volume under the cursor"),
    Key("volumes", "up", "shift+up,k", "move(-1)", "Up", "Move the volume nearer to the beginning"),
    Key("volumes", "down", "shift+down,j", "move(1)", "Down",
        "Move the volume nearer to the end"),
    Key("volumes", "remove", "delete,x", "remove", "Remove",
        "Remove the volume; Ctrl+Z brings it back"),
    Key("breakdown", "up", "up", "move(-1)", "Up", "Go to the volume above", palette=False),
    Key("breakdown", "down", "down", "move(1)", "Down", "Go to the volume below", palette=False),
    Key("breakdown", "open", "enter,space,right", "open", "Open",
        "Show what the volume's bytes are, or hide it again", palette=False),
    Key("breakdown", "close", "left", "close", "Close", "Hide what the volume's bytes are",
        palette=False),
    Key("rail", "previous", "up,left", "move(-1)", "Previous", "Show the step before",
        palette=False),
    Key("rail", "next", "down,right", "move(1)", "Next", "Show the step after", palette=False),
    Key("rail", "enter", "enter,space", "enter", "Enter", "Go into the step", palette=False),
    Key("map", "left", "left", "move(-1)", "Left", "Choose the partition to the left",
        palette=False),
    Key("map", "right", "right", "move(1)", "Right", "Choose the partition to the right",
        palette=False),
    Key("map", "first", "home", "move(-99)", "First", "Choose the first partition",
        palette=False),
    Key("map", "last", "end", "move(99)", "Last", "Choose the last partition", palette=False),
    Key("map", "smaller", "less_than_sign", "nudge(-1)", "Border left",
        "Move the border behind the chosen volume to the left", show=True, palette=False),
    Key("map", "larger", "greater_than_sign", "nudge(1)", "Border right",
        "Move the border behind the chosen volume to the right", show=True, palette=False),
    Key("map", "take", "enter,space", "take", "Take", "Take the size that the border shows",
        show=True, palette=False),
    Key("map", "leave", "escape", "leave", "Leave", "Leave the border where it was",
        show=True, palette=False),
    Key("spec", "up", "up", "scroll_by(0, -1)", "Up", "Scroll up", palette=False),
    Key("spec", "down", "down", "scroll_by(0, 1)", "Down", "Scroll down", palette=False),
    Key("spec", "left", "left", "scroll_by(-8, 0)", "Left", "See the left of long lines",
        palette=False),
    Key("spec", "right", "right", "scroll_by(8, 0)", "Right", "See the right of long lines",
        palette=False),
    Key("spec", "page_up", "pageup", "page(-1)", "Page up", "Go up a page", palette=False),
    Key("spec", "page_down", "pagedown", "page(1)", "Page down", "Go down a page",
        palette=False),
    Key("spec", "first", "home", "end(0)", "First", "Go to the first line", palette=False),
    Key("spec", "last", "end", "end(1)", "Last", "Go to the last line", palette=False),
    Key("table", "up", "up", "move(-1)", "Up", "Choose the row above", palette=False),
    Key("table", "down", "down", "move(1)", "Down", "Choose the row below", palette=False),
    Key("choices", "previous", "up,left", "move(-1)", "Previous", "Go to the choice before",
        palette=False),
    Key("choices", "next", "down,right", "move(1)", "Next", "Go to the choice after",
        palette=False),
    Key("choices", "take", "space,enter", "take", "Choose", "Take the choice under the cursor",
        palette=False),
    Key("dialog", "close", "escape", "close", "Close", "Close without doing anything",
        palette=False),
    Key("keys", "close", "escape,ctrl+g", "close", "Close", "Close the list", palette=False),
    Key("help", "close", "escape,f1,q", "close", "Close", "Close the help", palette=False),
    Key("entry", "cancel", "escape", "cancel", "Cancel", "Close and change nothing",
        palette=False),
    Key("entry", "browse", "f2", "browse", "Browse", "Choose the source from a tree",
        palette=False),
    Key("entry", "accept", "ctrl+s", "accept", "Accept", "Take the entry", palette=False),
    Key("path", "close", "escape", "close", "Close", "Close and give no path", palette=False),
    Key("path", "browse", "f2", "browse", "Browse", "Choose it from a tree", palette=False),
    Key("extract", "close", "escape", "close", "Stop", "Stop writing, and leave nothing of it",
        palette=False),
    Key("picker", "cancel", "escape", "cancel", "Cancel", "Choose nothing", palette=False),
    Key("picker", "take", "ctrl+s", "take", "Take", "Take what is highlighted", palette=False),
    Key("picker", "up", "backspace", "parent", "Up", "Go to the folder above", palette=False),
    Key("problems", "close", "escape,f8", "close", "Close", "Close the list", palette=False),
    Key("problems", "fix", "f9,f", "fix", "Fix", "Apply the fix offered", palette=False),
    Key("usage", "close", "escape", "close", "Close", "Close the list", palette=False),
    Key("usage", "up", "left,backspace", "up", "Up", "Go to the folder above", palette=False),
    Key("usage", "down", "right", "down", "Down", "Go into the folder", palette=False),
    Key("closure", "close", "escape", "close", "Close", "Close the closure", palette=False),
    Key("image", "back", "escape", "back", "Back", "Close the image and go back", show=True),
    Key("files", "open", "enter", "select_cursor", "Open",
        "Open or close the folder, or show the file", show=True, palette=False),
    Key("image", "extract", "x", "extract", "Extract",
        "Write the file or folder under the cursor to disk", show=True),
    Key("image", "spec", "s", "spec", "Make a spec",
        "Design an image with the table, sizes and identifiers of this one", show=True),
    Key("image", "flash", "w", "flash", "Write",
        "Write the image to a disk, and read it back", show=True),
    Key("image", "grow", "g", "grow", "Grow", "Make the image larger, and a volume in it"),
    Key("image", "boot", "b", "boot", "Boot", "Boot the image in a virtual machine"),
    Key("flash", "back", "escape", "back", "Back", "Stop what is going on, or go back", show=True),
    Key("flash", "write", "enter,w", "write", "Write", "Write the image to the chosen disk",
        show=True),
    Key("flash", "again", "r", "again", "Look again", "Look for disks once more", show=True),
    Key("flash", "copy", "c", "copy", "Copy command",
        "Copy the command that does the same in a terminal", show=True),
    Key("view", "back", "escape", "back", "Back", "Close the file", show=True),
    Key("view", "find", "slash", "find", "Find", "Search the file", show=True),
    Key("view", "bytes", "t", "bytes", "Text/bytes",
        "Show the bytes instead of the text, or the text again", show=True),
    Key("view", "next", "n", "again(1)", "Next", "Go to the next line found"),
    Key("view", "previous", "N", "again(-1)", "Previous", "Go to the previous line found"),
    Key("compare", "back", "escape", "back", "Back", "Close the comparison", show=True),
    Key("compare", "keep", "slash", "keep", "Filter", "Keep only the rows with a text in them",
        show=True),
    Key("compare", "files", "f", "files", "Only files",
        "Keep only what differs in files, or show all again", show=True),
    Key("filing", "open", "enter,right", "open", "Open", "Go into the folder", show=True,
        palette=False),
    Key("filing", "up", "backspace,left", "up", "Up", "Go to the folder above", show=True,
        palette=False),
    Key("filing", "copy", "c,f5", "copy", "Copy",
        "Copy what is under the cursor at the left into the folder at the right", show=True),
    Key("filing", "other", "tab,shift+tab", "other", "Other", "Go to the other pane", show=True,
        palette=False),
    Key("filing", "undo", "ctrl+z", "undo", "Undo", "Undo the last edit"),
    Key("filing", "back", "escape", "back", "Back", "Go back to the table of entries",
        show=True),
    Key("rows", "up", "up", "move(-1)", "Up", "Choose the row above", palette=False),
    Key("rows", "down", "down", "move(1)", "Down", "Choose the row below", palette=False),
    Key("rows", "page_up", "pageup", "page(-1)", "Page up", "Go up a page", palette=False),
    Key("rows", "page_down", "pagedown", "page(1)", "Page down", "Go down a page",
        palette=False),
    Key("rows", "first", "home", "first", "First", "Go to the first row", palette=False),
    Key("rows", "last", "end", "last", "Last", "Go to the last row", palette=False),
    Key("jump", "close", "escape,ctrl+o", "close", "Close", "Go nowhere", palette=False),
    Key("build", "back", "escape", "back", "Design", "Look at the design; the build goes on",
        show=True),
    Key("build", "cancel", "ctrl+x", "cancel", "Cancel", "Cancel the build", show=True),
    Key("build", "field", "g", "field", "Change it",
        "Go to the field that most likely answers the failure", show=True),
    Key("build", "retry", "r", "retry", "Retry", "Build once more", show=True),
    Key("build", "inspect", "i", "look", "Look inside", "Look into the image"),
    Key("build", "boot", "b", "verb('boot')", "Boot", "Start the image in a virtual machine"),
    Key("build", "flash", "w", "flash", "Write", "Write the image to a disk"),
    Key("build", "check", "k", "verb('check')", "Check",
        "Build twice and compare, to show that the image is reproducible"),
    Key("build", "verify", "v", "verb('verify')", "Verify",
        "Hold the output folder against its own records"),
    Key("build", "start", "o", "start", "Another", "Go to the start page for another image"),
    Key("build", "report", "y", "copy_report", "Copy report", "Copy how the build ended"),
    Key("console", "back", "ctrl+right_square_bracket,f12", "back", "End",
        "End the machine and go back; every other key goes to it", show=True),
    Key("fleet", "back", "escape", "back", "Back", "Leave the fleet", show=True),
    Key("fleet", "build", "f5", "build", "Build", "Build the rows that have changed", show=True),
    Key("fleet", "open", "enter", "open", "Its page",
        "Open the page of the row's build, with its steps and its log", show=True),
    Key("fleet", "failures", "f", "failures", "Failures",
        "Show only the rows that failed, or all again", show=True),
    Key("fleet", "retry", "r", "retry", "Retry", "Try the row once more", show=True),
    Key("fleet", "workers", "w", "workers", "Workers",
        "Build by this process, or by more and more processes of this machine", show=True),
    Key("fleet", "cancel", "ctrl+x", "cancel", "Cancel", "Cancel the fleet", show=True),
    Key("verb", "back", "escape", "back", "Back", "End the verb and go back", show=True),
    Key("stages", "up", "up", "move(-1)", "Up", "Choose the step above", palette=False),
    Key("stages", "down", "down", "move(1)", "Down", "Choose the step below", palette=False),
    Key("stages", "take", "enter,space", "take", "Its log",
        "Show the log of the step alone, or of all again", palette=False),
    Key("logpane", "search", "slash", "search", "Search", "Search the log", show=True),
    Key("logpane", "next", "n", "again(1)", "Next", "Go to the next line found"),
    Key("logpane", "previous", "N", "again(-1)", "Previous", "Go to the previous line found"),
    Key("logpane", "step", "f", "filter_step", "Step",
        "Keep the lines of one step, then the next, then all"),
    Key("logpane", "stream", "s", "filter_stream", "Stream",
        "Keep the lines of one stream, then the next, then all"),
    Key("logpane", "copy", "c", "copy", "Copy", "Copy the line under the cursor"),
    Key("logpane", "copy_all", "C", "copy_all", "Copy all", "Copy the lines in the log"),
    Key("logpane", "leave", "escape", "leave", "Close", "Close the search", palette=False),
    Key("log", "up", "up", "move(-1)", "Up", "Go to the line above", palette=False),
    Key("log", "down", "down", "move(1)", "Down", "Go to the line below", palette=False),
    Key("log", "page_up", "pageup", "page(-1)", "Page up", "Go up a page", palette=False),
    Key("log", "page_down", "pagedown", "page(1)", "Page down", "Go down a page",
        palette=False),
    Key("log", "first", "home", "first", "First", "Go to the first line", palette=False),
    Key("log", "follow", "end", "follow", "Follow", "Go to the end of the log and follow it"),
    Key("log", "left", "left", "sideways(-8)", "Left", "See the left of long lines",
        palette=False),
    Key("log", "right", "right", "sideways(8)", "Right", "See the right of long lines",
        palette=False),
    Key("log", "full", "enter", "full", "Full line", "Show the line in full", palette=False),
    Key("app", "quit", "ctrl+q", "quit", "Quit",
        "Quit; asks where something would be lost", show=True, priority=True, letter="q"),
)  # fmt: skip


def bindings(place: Place) -> list[BindingType]:
    """Returns the bindings of a place, for `BINDINGS`."""
    return [key.binding() for key in KEYS if key.place == place]


def footer_order() -> dict[str, int]:
    """Returns the position of each binding id in the footer, the most wanted first."""
    return {key.id: position for position, key in enumerate(KEYS)}
