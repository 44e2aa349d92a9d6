"""What README.md and docs/ name is there: files and headings that links lead to, files in backquotes, commands and options of
caas, targets of make. One line a fault."""

import glob
import os
import re
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([^)\s]+)\)")
OURS = re.compile(r"`((?:docs|roles|templates|tests|provisioner|monitoring)/[^`\s]+)`")
CODE = re.compile(r"`([^`\n]+)`|^ {4}(\S.*)$", re.MULTILINE)
# "caas" where a command begins: not in "install caas for", "/opt/caas/bin", "--name caas"
CAAS = re.compile(
    r"(?:^|&& |\| |build/|sudo )caas (?:--?[a-z-]+(?: [A-Z/]\S*)? )*([a-z]+(?: (?:add|passwd|remove)\b)?)"
)
MAKE = re.compile(r"(?:^|&& |\| )make (?:[A-Z]+=\S+ |-\S+ )*([a-z]+(?:-[a-z]+)*)")
OPTION = re.compile(r" --([a-z-]+)")
MADE = {"monitoring/scrape-token"}  # in a cluster's folder


class Known:
    """Commands and options of caas, targets of make."""

    def __init__(self) -> None:
        code = "".join(path.read_text() for path in sorted(Path("provisioner/cli").glob("*.c")))
        self.commands = set(re.findall(r'^        \.name = "([a-z ]+)"', code, re.MULTILINE))
        self.options = set(re.findall(r'^        \{"([a-z-]+)", ', code, re.MULTILINE))
        self.targets = set(re.findall(r"^([a-z][a-z-]*):", Path("Makefile").read_text(), re.MULTILINE))
        assert {"apply", "user add", "revoke"} <= self.commands and {"demo", "test"} <= self.targets
        assert {"json", "delete-data"} <= self.options


def anchors(text: str) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path, text: str) -> list[str]:
    faults = []
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if ":" in path:  # elsewhere
            continue
        target = Path(os.path.normpath(page.parent / path)) if path else page
        if not target.exists():
            faults.append(f"{page}: the link {link} leads nowhere")
        elif anchor and anchor not in anchors(target.read_text()):
            faults.append(f"{page}: {target} has no heading for {link}")
    for path in OURS.findall(text):
        if path not in MADE and not glob.glob(re.sub(r"<[^>]*>|\{[^}]*\}|[A-Z]{2,}", "*", path)):
            faults.append(f"{page}: there is no {path}")
    return faults


def named(page: Path, text: str, known: Known) -> list[str]:
    faults = []
    for pair in CODE.findall(text):
        code = "".join(pair).partition("  #")[0].strip()
        commands = CAAS.findall(code)
        for name in commands:
            if name not in known.commands and name.split()[0] not in known.commands:
                faults.append(f"{page}: caas has no command {name!r}: {code}")
        for option in OPTION.findall(code) if commands else []:
            if option not in known.options:
                faults.append(f"{page}: caas has no option --{option}: {code}")
        for name in MAKE.findall(code):
            if name not in known.targets:
                faults.append(f"{page}: make has no target {name!r}: {code}")
    return faults


def main() -> int:
    known = Known()
    pages = [Path("README.md"), *sorted(Path("docs").glob("*.md")), *sorted(Path("tests").rglob("*.md"))]
    faults = [
        fault for page in pages for fault in [*links(page, page.read_text()), *named(page, page.read_text(), known)]
    ]
    print("\n".join(faults))
    return 1 if faults else 0


sys.exit(main())
