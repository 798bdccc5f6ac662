"""What the documents promise exists: commands, targets, links, flags."""

import re
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from streams.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = get_command(app)


def commands_in(text: str) -> set[str]:
    blocks = re.findall(r"```(?:sh|console|bash)\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`((?:make|funnelwatch) [^`\n]+)`", text)
    return {line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()} | set(inline)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_document_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in commands_in(document.read_text(encoding="utf-8")):
        words = line.split()
        if words[:1] == ["make"] and len(words) > 1 and "=" not in words[1]:
            assert re.search(rf"^{re.escape(words[1])}:", makefile, re.MULTILINE), f"{document.name}: {line}"
        if words and words[0].endswith("funnelwatch") and len(words) > 1:
            known = getattr(COMMAND, "commands", {})
            if words[1].startswith("-") or not words[1].isalpha():
                continue
            assert words[1] in known, f"{document.name}: {line}"
            flags = {option for parameter in known[words[1]].params for option in parameter.opts}
            for flag in (word.split("=")[0] for word in words[2:] if word.startswith("--")):
                assert flag.strip("[]") in flags | {"--help"}, f"{document.name}: {line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_document_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_command_explains_itself() -> None:
    for name, command in getattr(COMMAND, "commands", {}).items():
        shown = CliRunner().invoke(app, [name, "--help"])
        assert shown.exit_code == 0
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"funnelwatch {name} {parameter.name} has no help"
