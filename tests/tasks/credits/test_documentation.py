"""`docs/ledger.md` names what there is, and nothing else."""

import re
from pathlib import Path

from flows.commands.ledger import app
from tasks.credits import AttemptState, Reason, Resolution
from tasks.credits.schema import MIGRATIONS

PAGE = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text()


def test_every_table_is_documented() -> None:
    statements = [statement for migration in MIGRATIONS for statement in migration]
    tables = {found[1] for statement in statements if (found := re.match(r"CREATE TABLE (\w+)", statement))}

    assert set(re.findall(r"^\| `(\w+)` \| (?:a|an) ", PAGE, re.MULTILINE)) == tables


def test_every_command_and_word_is_documented() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}

    assert set(re.findall(r"^cleanplate ledger ([\w-]+)", PAGE, re.MULTILINE)) == commands
    assert all(f"--{word.replace('_', '-')} " in PAGE for word in Resolution)


def test_every_reason_and_state_is_documented() -> None:
    assert all(f"`{reason}`" in PAGE for reason in Reason)
    assert all(state.replace("_", " ") in PAGE for state in AttemptState)
