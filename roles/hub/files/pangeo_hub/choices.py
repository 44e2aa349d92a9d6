"""What somebody may choose at start: a size (the plain one first, then the profiles) and an environment. Pure.

The page only shows; what counts is resolve(), which looks at the answer again on the server's side."""

import html
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .settings import Settings

PLAIN = "default"
BUILT_IN = "pangeo"
LONGEST_NAME = 100  # more than the form allows


class BadChoice(ValueError):
    """The answer names something that is not on offer. The text is for the person who chose."""


@dataclass(frozen=True)
class Size:
    key: str
    name: str
    description: str
    cpus: float
    ram: float  # GB, 10^9 bytes
    groups: frozenset[str] = frozenset()
    gpus: int = 0

    @property
    def memory_bytes(self) -> int:
        return int(self.ram * 1_000_000_000)

    @property
    def millicores(self) -> int:
        return max(1, round(self.cpus * 1000))


@dataclass(frozen=True)
class Environment:
    """path: its folder on a host; image: its image on Kubernetes."""

    name: str
    description: str
    path: str = ""
    image: str = ""


@dataclass(frozen=True)
class Choice:
    size: Size
    environment: Environment


def _amount(number: float) -> str:
    return f"{number:g}"


class Choices:
    """All that this cluster offers."""

    def __init__(self, settings: Settings) -> None:
        notebook = settings["notebook"]
        plain = Size(PLAIN, "Standard", "The usual size.", float(notebook["cpus"]), float(notebook["ram"]))
        self.sizes = [plain]
        for profile in settings.get("profiles") or []:
            self.sizes.append(
                Size(
                    key=profile["name"],
                    name=profile["name"],
                    description=profile.get("description") or "",
                    cpus=float(profile.get("cpus") or plain.cpus),
                    ram=float(profile.get("ram") or plain.ram),
                    groups=frozenset(profile.get("groups") or []),
                    gpus=int(profile.get("gpus") or 0),
                )
            )
        self.environments = [
            self._environment(
                settings, {"name": BUILT_IN, "description": "The Pangeo libraries: xarray, Dask, Zarr and many more."}
            ),
            *(self._environment(settings, item) for item in settings.get("environments") or []),
        ]

    @staticmethod
    def _environment(settings: Settings, item: Mapping[str, Any]) -> Environment:
        name, description = item["name"], item.get("description") or ""
        kubernetes = settings.get("kubernetes")
        if kubernetes:
            return Environment(name, description, image=item.get("image") or kubernetes["image"])
        return Environment(name, description, path=f"{settings['environments_folder']}/{name}")

    def sizes_for(self, groups: Collection[str]) -> list[Size]:
        return [size for size in self.sizes if not size.groups or size.groups & set(groups)]

    def form(self, groups: Collection[str], last: Mapping[str, Any] | None = None) -> str:
        """The inside of the start page's form; "" when there is nothing to choose, so that the start needs no page."""
        sizes = self.sizes_for(groups)
        if len(sizes) == 1 and len(self.environments) == 1:
            return ""
        last = last or {}
        rows = []
        if len(sizes) > 1:
            rows.append('<fieldset class="choice"><legend>Size of your server</legend>')
            chosen = last.get("profile") if last.get("profile") in {size.key for size in sizes} else sizes[0].key
            for size in sizes:
                detail = f"{_amount(size.cpus)} CPU, {_amount(size.ram)} GB memory"
                if size.gpus:
                    detail += f", {size.gpus} GPU"
                rows.append(_option("profile", size.key, size.name, size.description, detail, size.key == chosen))
            rows.append("</fieldset>")
        if len(self.environments) > 1:
            rows.append('<fieldset class="choice"><legend>Software environment</legend>')
            names = {environment.name for environment in self.environments}
            chosen = last.get("environment") if last.get("environment") in names else self.environments[0].name
            for item in self.environments:
                rows.append(_option("environment", item.name, item.name, item.description, "", item.name == chosen))
            rows.append("</fieldset>")
        return "\n".join(rows)

    def resolve(self, options: Mapping[str, Any] | None, groups: Collection[str]) -> Choice:
        """What the options mean for somebody in these groups. Raises BadChoice, but not where there is nothing to choose."""
        options = options or {}
        unknown = sorted(set(options) - {"profile", "environment"})
        if unknown:
            raise BadChoice(f"There is nothing to choose by the name of {unknown[0]!r}.")
        if any(value is not None and not _is_name(value) for value in options.values()):
            raise BadChoice("A choice is the name of a size or of an environment.")
        sizes = {size.key: size for size in self.sizes_for(groups)}
        if len(sizes) == 1 and len(self.environments) == 1:
            # No page asks, and the hub takes what was chosen last, which need not be there any more.
            return Choice(self.sizes[0], self.environments[0])
        key = options.get("profile") or PLAIN
        if key not in sizes:
            raise BadChoice(f"The size {key!r} is not on offer for you. There are: {', '.join(sizes)}.")
        environments = {environment.name: environment for environment in self.environments}
        name = options.get("environment") or self.environments[0].name
        if name not in environments:
            raise BadChoice(f"There is no environment {name!r}. There are: {', '.join(environments)}.")
        return Choice(sizes[key], environments[name])


def _is_name(value: Any) -> bool:
    """What somebody sends is kept and told to all who ask the hub for its servers, even where nothing can be chosen."""
    return isinstance(value, str) and len(value) <= LONGEST_NAME


def options_from_form(form: Mapping[str, list[str]]) -> dict[str, str]:
    """The fields of the start page, first value of each; what the page does not have is left out."""
    return {key: form[key][0] for key in ("profile", "environment") if form.get(key) and form[key][0]}


def _option(field: str, key: str, name: str, description: str, detail: str, checked: bool) -> str:
    quoted = html.escape(key, quote=True)
    return (
        f'<label class="option"><input type="radio" name="{field}" value="{quoted}"{" checked" if checked else ""}>'
        f'<span class="option-name">{html.escape(name)}</span>'
        f'<span class="option-detail">{html.escape(detail)}</span>'
        f'<span class="option-description">{html.escape(description)}</span></label>'
    )
