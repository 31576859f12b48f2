"""`emserve models`: what can be asked for, and the folder of installed models."""

import typer

from emserve.cli.client_options import AsJson
from emserve.cli.command_group import MARKUP
from emserve.cli.models.bring import bring
from emserve.cli.models.listing import list_models, show
from emserve.cli.models.options import DataDir, ModelDir, ServiceUrl
from emserve.cli.models.pull import pull
from emserve.cli.models.remove import remove
from emserve.cli.models.trial import try_model
from emserve.cli.models.verify import verify

models = typer.Typer(name="models", add_completion=False, rich_markup_mode=MARKUP)


@models.callback(invoke_without_command=True)
def _bare(
    context: typer.Context,
    as_json: AsJson = False,
    url: ServiceUrl = None,
    model_dir: ModelDir = None,
    data_dir: DataDir = None,
) -> None:
    """List, pull, import, verify, test and remove models.

    Without a command it lists them.
    """
    if context.invoked_subcommand is None:
        list_models(as_json, url, model_dir, data_dir)


for _name, _command in (
    ("list", list_models),
    ("show", show),
    ("pull", pull),
    ("import", bring),
    ("verify", verify),
    ("test", try_model),
    ("remove", remove),
):
    models.command(_name)(_command)
