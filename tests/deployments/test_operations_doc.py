"""docs/operations.md: every variable of the deployment files is explained there, and every command in it is one."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from typer.main import get_command

from flows.cli import application

ROOT = Path(__file__).parent.parent.parent
DEPLOYMENTS = ROOT / "deployments"
DOC = (ROOT / "docs" / "operations.md").read_text()
NAME = r"[A-Z][A-Z0-9]*(?:_+[A-Z0-9]+)+"
NOT_OURS = {
    "RCLONE_AUTH_KEY",
    "PYTHON_IMAGE",
    "PYTHONUNBUFFERED",
    "XDG_DATA_HOME",
}  # set inside an image for what runs there


def variables() -> set[str]:
    """Set, asked for or shown as an example, in any file that deploys."""
    found: set[str] = set()
    files = [DEPLOYMENTS / name for name in ("compose.yaml", "prefect.yaml", ".env.example", "cleanplate.env.example")]
    files += [DEPLOYMENTS / "Dockerfile", *sorted((DEPLOYMENTS / "kubernetes").glob("*.*"))]
    for file in files:
        text = file.read_text()
        found |= set(re.findall(rf"\$\{{({NAME})", text))  # ${NAME…}
        found |= set(re.findall(rf"^(?:#? *|ENV +)({NAME})[=:]", text, re.MULTILINE))  # NAME=…, NAME: …
        found |= set(re.findall(rf'"?name"?: "?({NAME})\b', text))  # - {name: NAME, …}
    return found - NOT_OURS


def documented() -> set[str]:
    """In backquotes."""
    return set(re.findall(rf"`({NAME})`", DOC))


def test_every_variable_is_documented() -> None:
    assert len(variables()) > 40
    assert variables() - documented() == set()


def test_nothing_is_documented_that_is_not_there() -> None:
    text = "\n".join(file.read_text() for file in DEPLOYMENTS.rglob("*") if file.is_file())
    text += (ROOT / "Makefile").read_text()

    assert {name for name in documented() if name not in text} == set()


def commands() -> Iterator[list[str]]:
    """Each line of the console blocks that calls `cleanplate`, as words."""
    for block in re.findall(r"```console\n(.*?)```", DOC, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line.split(" > ")[0])
            while words and ("=" in words[0] or words[:4] == ["docker", "compose", "run", "--rm"]):
                words = words[1:] if "=" in words[0] else words[5:]
            if words[:1] == ["cleanplate"]:
                yield words[1:]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_is_one(words: list[str]) -> None:
    """Its name, its arguments and its options are those of the program."""
    command: click.Command = get_command(application(words[0]))
    context = click.Context(command, info_name="cleanplate")
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
        context = (
            command.make_context(command.name, list(words), parent=context)
            if not isinstance(command, click.Group)
            else context
        )


def test_the_documented_deployments_and_schedules_are_those_that_are_deployed() -> None:
    deployed = yaml.safe_load((DEPLOYMENTS / "prefect.yaml").read_text())["deployments"]

    table = DOC[DOC.index("| deployment | when") : DOC.index("Times, zones and knobs")]
    assert set(re.findall(r"`([a-z-]+)`", table)) == {one["name"] for one in deployed}
    for one in deployed:
        for schedule in one.get("schedules", []):
            minute, hour, *_ = schedule["cron"].split()
            moment = f":{minute}" if hour == "*" else f"{int(hour):02}:{minute} {schedule['timezone']}"
            assert re.search(rf"`{one['name']}`[^\n]*{moment}", table)
