"""`podarium keymap`: every command of the dashboard, its keys, and what is wrong with the file."""

from __future__ import annotations

import sys

import click

from tui.commands.all import COMMANDS
from tui.commands.keymap import load, place


def keymap() -> None:
    """Print them; exit 1 when the file has faults."""
    file = place()
    problems = load(COMMANDS, file)
    click.echo(f'# Keys are changed in {file}, a line each: shell = "f2" or ["f2", "x"]')
    for command in COMMANDS.all():
        keys = ", ".join(f'"{key}"' for key in command.keys)
        click.echo(f"{command.id:20} = {f'[{keys}]':28} # {command.help}")
    for problem in problems:
        click.echo(click.style(f"✘ {problem}", fg="red"), err=True)
    sys.exit(1 if problems else 0)
