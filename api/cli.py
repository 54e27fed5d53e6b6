"""The command `diemcau`: every word of it lives in api/commands."""

import typer

from api.commands import autodial, check, demo, device, inventory, run, serve

app = typer.Typer(
    name="diemcau",
    help="Conference orchestrator: dials every site into the main bridge, keeps it there, says why when it cannot.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for words in (serve, demo, inventory, autodial, check, run, device):
    app.registered_commands += words.app.registered_commands


def main() -> None:
    """Run the command line; bad input ends with a message on stderr and exit code 2."""
    app()


if __name__ == "__main__":
    main()
