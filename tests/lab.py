"""Models of a lab, installed into a folder without the command line's process around it."""

from pathlib import Path

from emserve.cards import ModelCard
from emserve.installer.folder import ModelFolder
from emserve.installer.installer import Identity, Installer
from tests.exports import export, small_network, write_config
from workers.models.convert import convert


def install(models: Path, name: str, source: Path) -> ModelCard:
    """Installs the export at `source`, beside which its yaml lies, as `name`@1."""
    identity = Identity(name, "1", title=name, description="A small network with random weights.")
    return Installer(ModelFolder(models), convert).bring(source, source.with_suffix(".yaml"), identity)


def small_export(folder: Path, num_classes: int = 1) -> Path:
    """A small network as empanada exports it, with its yaml."""
    path = export(
        small_network("panoptic_deeplab_pr", num_classes), "panoptic_deeplab_pr", folder / "small.pth"
    )
    ids = list(range(1, max(2, num_classes)))
    names = {number: f"class-{number}" for number in ids}
    write_config(path.with_suffix(".yaml"), class_names=names, labels=ids, thing_list=ids)
    return path
