"""`caas schema` as an editor reads it: a validator of JSON Schema takes every form that is good and marks what it can know to be
wrong. What only `caas check` finds (rules between fields, what is in a file) passes here, and none of it is a shape."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CASES = ROOT / "tests" / "cases" / "form"


class Loader(yaml.SafeLoader):
    """YAML 1.2, as the form is read: of the words only true, false and null are none."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in (
    ("null", r"~|null|", "~n"),
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), [*first, ""])


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    program = ROOT / os.environ.get("BUILD", "build") / "caas"
    schema = json.loads(subprocess.run([program, "schema"], capture_output=True, check=True, timeout=60).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def read(case: str) -> Any:
    return yaml.load((CASES / case / "input.yaml").read_text(), Loader)


def cases(good: bool) -> list[str]:
    return sorted(path.name for path in CASES.iterdir() if (path / "output.json").exists() == good)


@pytest.mark.parametrize("case", cases(good=True))
def test_what_is_good_is_taken(validator: jsonschema.Draft202012Validator, case: str) -> None:
    assert [fault.message for fault in validator.iter_errors(read(case))] == []


SHAPE = re.compile(
    r"there is no such field|missing; it is required: |"
    r"allowed is (a (number|whole number|name|text|list)|true or false|one of|letters)"
)


def misshapen() -> list[str]:
    """What is no YAML is said by an editor itself."""
    found = []
    for case in cases(good=False):
        try:
            read(case)
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        if SHAPE.search((CASES / case / "error").read_text()):
            found.append(case)
    return found


def test_there_are_forms_of_another_shape() -> None:
    assert len(misshapen()) > 50


@pytest.mark.parametrize("case", misshapen())
def test_what_has_another_shape_is_marked(validator: jsonschema.Draft202012Validator, case: str) -> None:
    assert not validator.is_valid(read(case))
