"""Train reward models, evaluate and compare them, and score completions with them."""

import typer

from reward.commands.evaluation import compare, evaluate, report, rewardbench, suspects
from reward.commands.score import score, serve
from reward.commands.train import train

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
for command in (train, report, score, suspects, evaluate, compare, rewardbench, serve):
    app.command()(command)


if __name__ == "__main__":
    app(prog_name="python -m reward")
