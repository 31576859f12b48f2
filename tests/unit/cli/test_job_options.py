"""Parameters and tags as they are typed."""

import pytest
import typer

from emserve.cli.job_options import parse_parameters, parse_tags


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("downsampling=2", {"downsampling": 2}),
        ("downsampling=auto", {"downsampling": "auto"}),
        ("intensity_range=[0,4095]", {"intensity_range": (0.0, 4095.0)}),
        ("intensity_range=percentile", {"intensity_range": "percentile"}),
        ("invert=true", {"invert": True}),
        ("pixel_size_nm=[4.6,4.6]", {"pixel_size_nm": [4.6, 4.6]}),
        ("axes=YX", {"axes": "YX"}),
    ],
)
def test_a_pair_is_a_parameter(pair: str, expected: dict[str, object]) -> None:
    assert parse_parameters([pair]).model_dump(exclude_unset=True) == expected


def test_a_pair_wins_over_the_object() -> None:
    parsed = parse_parameters(["downsampling=4"], '{"downsampling": 2, "invert": true}')
    assert parsed.model_dump(exclude_unset=True) == {"downsampling": 4, "invert": True}


@pytest.mark.parametrize(
    ("pairs", "as_json", "words"),
    [
        (["downsampling"], None, "--param takes NAME=VALUE, not 'downsampling'"),
        (["=2"], None, "NAME=VALUE"),
        (["downsampling=3"], None, "downsampling: .*not 3"),
        (["downsamplng=2"], None, "there is no such parameter"),
        (["intensity_range=[0,4095"], None, "intensity_range"),
        (["confidence_thr=NaN"], None, "confidence_thr"),
        ([], "{", "--params is no JSON"),
        ([], "[1]", "--params takes a JSON object"),
    ],
)
def test_a_bad_parameter_is_named(pairs: list[str], as_json: str | None, words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        parse_parameters(pairs, as_json)


def test_tags_keep_what_follows_the_first_equals_sign() -> None:
    assert parse_tags(["sample=S-17", "formula=a=b"]) == {"sample": "S-17", "formula": "a=b"}


@pytest.mark.parametrize("tag", ["sample", "=x", "a b=x", "a:b=x"])
def test_a_bad_tag_is_named(tag: str) -> None:
    with pytest.raises(typer.BadParameter, match="--tag"):
        parse_tags([tag])
