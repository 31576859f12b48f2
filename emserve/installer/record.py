"""A publisher's record: which files there are, what they should be, whose they are. The form is Zenodo's."""

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from emserve.installer.errors import RecordUnusable

_DOI = "https://doi.org/"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Links(_Part):
    own: str = Field(alias="self")


class RecordFile(_Part):
    """One file of a record."""

    key: str
    size: Annotated[int, Field(ge=0)]
    checksum: Annotated[str, Field(pattern=r"^(md5|sha1|sha256|sha512):[0-9a-fA-F]+$")]
    """Algorithm, a colon, hexadecimal digits."""
    links: _Links | None = None


class _Creator(_Part):
    name: str


def _licence_id(value: object) -> object:
    """Records have said it as text and as an object with an id."""
    return value.get("id") if isinstance(value, dict) else value


class _Metadata(_Part):
    title: str = ""
    doi: str | None = None
    publication_date: str = ""
    creators: list[_Creator] = []
    license: Annotated[str | None, BeforeValidator(_licence_id)] = None


class Record(_Part):
    """A record as its publisher's API shows it; what is not needed is passed over."""

    id: Annotated[str, BeforeValidator(str)]
    doi: str | None = None
    metadata: _Metadata = _Metadata()
    files: list[RecordFile] = []

    @classmethod
    def parse(cls, content: bytes, source: str) -> Self:
        """Raises RecordUnusable."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise RecordUnusable(
                f"{source} is no record of a publisher: {where}: {first['msg']}. Is it a mirror of Zenodo's "
                "API (EMSERVE_MODEL_MIRROR, --from), or did a proxy answer in its place?"
            ) from error

    def file(self, key: str) -> RecordFile:
        """Raises RecordUnusable when the record has no such file."""
        for each in self.files:
            if each.key == key:
                return each
        there = ", ".join(each.key for each in self.files) or "none"
        raise RecordUnusable(f"Record {self.id} has no file {key}. Its files: {there}.")

    @property
    def licence(self) -> str | None:
        return self.metadata.license

    @property
    def citation(self) -> str | None:
        """Authors (year). Title. Zenodo. DOI; None where the record has no title."""
        about = self.metadata
        if not about.title:
            return None
        authors = "; ".join(creator.name for creator in about.creators)
        year = f" ({about.publication_date[:4]})" if about.publication_date else ""
        doi = self.doi or about.doi
        link = f" {_DOI}{doi}" if doi else ""
        return f"{authors}{year}. {about.title}. Zenodo.{link}".removeprefix(". ").strip()
