# The part of virt-firmware that the pipeline calls.

class EfiVar:
    def __init__(
        self, name: str, guid: str | None = None, attr: int | None = None, data: bytes = b""
    ) -> None: ...

class EfiVarList(dict[str, EfiVar]): ...
