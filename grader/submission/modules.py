"""The student's own modules and packages: whatever a topic imports and lies beside it comes along under its name."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Iterable

from grader.submission.source import Source

OURS = {"assignments", "grader"}


class Modules:
    """The modules of one submission by the names that imports use."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._paths: dict[str, Source] = {}
        for source in sorted(sources, key=lambda source: (bool(source.archive), not source.is_module)):
            self._paths.setdefault(source.path, source)
        self._found: dict[tuple[str, str], dict[str, Source]] = {}
        self.not_used: dict[Source, Source] = {}  # modules in whose place another one of the same name was taken

    def belonging_to(self, importer: Source, module: str) -> dict[str, Source]:
        """The module of this name, or the package with all its modules, by their dotted names."""
        top = module.lstrip(".").split(".")[0]
        if (importer.folder, top) not in self._found:
            self._found[importer.folder, top] = self._search(importer.folder, top) if is_free(top) else {}
        return self._found[importer.folder, top]

    def hidden_by(self, importer: Source, module: str) -> Source | None:
        """The student's module that is not used since Python or the grader has one of that name."""
        top = module.lstrip(".").split(".")[0]
        beside = self._paths.get(f"{importer.folder}/{top}".lstrip("/"))
        return beside if beside is not None and beside.is_module and not is_free(top) and top not in OURS else None

    def _search(self, folder: str, top: str) -> dict[str, Source]:
        homes = set()
        for path in self._paths:
            parts = path.split("/")
            homes |= {"/".join(parts[:place]) for place, part in enumerate(parts) if part == top}
        if not homes:
            return {}
        home = min(homes, key=lambda home: (home != folder, home.count("/"), home))
        prefix = f"{home}/{top}".lstrip("/")
        found = {top: self._paths[prefix]} if prefix in self._paths else {}
        for path, source in self._paths.items():
            if path.startswith(f"{prefix}/") and source.is_module:
                inside = path[len(prefix) - len(top) :].removesuffix("/__init__").replace("/", ".")
                if all(part.isidentifier() for part in inside.split(".")):
                    found[inside] = source
        return found

    def imported(self, sources: Iterable[Source], known: Iterable[str]) -> dict[str, Source]:
        """All own modules that these sources import, directly or through each other, but for the known names."""
        found: dict[str, Source] = {}
        waiting = list(sources)
        packages: set[Source] = set()  # whose modules all came along already: they import each other relatively
        while waiting:
            source = waiting.pop()
            for module, _ in source.imports:
                if module.startswith(".") and source in packages:
                    continue
                own = self.belonging_to(source, module)
                packages |= {*own.values()} if any("." in name for name in own) else set()
                for name, one in own.items():
                    if name not in found and name not in known:
                        found[name] = one
                        waiting.append(one)
                    elif name in found and found[name].cells != one.cells:
                        self.not_used[one] = found[name]
        return found


@functools.cache
def is_free(name: str) -> bool:
    """Whether no installed module has this name, which a student's file must not replace."""
    if not name.isidentifier() or name in sys.stdlib_module_names or name in OURS:
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return True
    return spec is None or spec.origin is None  # a mere folder on the path is no module
