"""Settings from a YAML file and from ``dotted.key=value`` words, checked at once against a typed model.

Everything that is wrong is said in one error, each fault with its key and, where a key is unknown, the nearest one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, Tag, ValidationError

from resound.errors import ConfigError, did_you_mean

Model = TypeVar("Model", bound=BaseModel)
TOO_DEEP = "is nested too deep to be read; write fewer levels"


def load_config(model: type[Model], path: Path | None = None, overrides: Sequence[str] = ()) -> Model:
    """Return ``model`` filled from the YAML file, then from words such as ``dehiss.max_reduction_db=18``.

    Raises `ConfigError`.
    """
    values = read_yaml(path) if path else {}
    for word in overrides:
        set_dotted(values, word)
    return validated(model, values, str(path) if path else "")


def validated(model: type[Model], values: Any, where: str = "") -> Model:
    """Return ``model`` filled from a mapping; ``where`` begins the error.  Raises `ConfigError`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(explain(fault, model, values) for fault in error.errors())
        raise ConfigError(f"{where}: {faults}" if where else faults) from None


class DuplicateKeyError(yaml.MarkedYAMLError):
    """A mapping has a key twice, where YAML takes the last without a word."""


class Loader(yaml.SafeLoader):
    """Reads YAML that means what people think: no key twice, and ``1e-3`` is a number, as in YAML 1.2."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping, or raise `DuplicateKeyError`."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)
            if name in seen:
                raise DuplicateKeyError(problem=f"{key.value!r} comes twice", problem_mark=key.start_mark)
            seen.add(name)
        return node


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.  Raises `ConfigError`."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader) or {}
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a YAML file with settings") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); give a YAML text file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: cannot be read (it is not UTF-8 text); give a YAML text file") from None
    except DuplicateKeyError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}: {error.problem}{line}; keep one of the two") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}: is not valid YAML{line}; mend it there") from None
    except RecursionError:
        raise ConfigError(f"{path}: {TOO_DEEP}") from None
    except ValueError as error:  # a date that does not exist
        raise ConfigError(f"{path}: holds a value that cannot be read ({error}); put it in quotes") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no settings but {values!r:.40}; write 'key: value' lines")
    return values


def set_dotted(values: dict[str, Any], word: str) -> None:
    """Set ``a.b=value`` in nested settings; the value is read as YAML, so 18 is a number and [a, b] a list."""
    key, equals, text = word.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{word!r} is not a setting; write key=value")
    if not text.strip():
        raise ConfigError(f"{key}: has no value; write one after the '=', null for none")
    try:
        value = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that does not exist
        raise ConfigError(f"{key}: {text!r} cannot be read as a value; put it in quotes") from None
    set_value(values, key.strip(), value)


def set_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Set ``a.b`` in nested settings; a number stands for an item of a list, which must be there: ``loss.0.weight``.

    Raises `ConfigError`.
    """
    *parents, last = key.split(".")
    place: Any = values
    for number, parent in enumerate(parents):
        place = place[_index(place, parent, key)] if isinstance(place, list) else place.setdefault(parent, {})
        if not isinstance(place, dict | list):
            raise ConfigError(
                f"{key}: {'.'.join(parents[: number + 1])!r} is a single value, it has no settings of its own"
            )
    place[_index(place, last, key) if isinstance(place, list) else last] = value


def value_at(values: dict[str, Any], key: str) -> Any:
    """Return what is at ``a.b`` in nested settings, None where nothing is."""
    place: Any = values
    for part in key.split("."):
        if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, dict):
            place = place.get(part)
        else:
            return None
    return place


def _index(items: list[Any], part: str, key: str) -> int:
    """Return which item of a list a part of a key means."""
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    there = f"those from 0 to {len(items) - 1}" if items else "none"
    raise ConfigError(f"{key}: {part!r} is no item of that list; there are {there}")


def written_at(fault: Any, values: Any) -> str:
    """Return the key of a fault as it was written: without the names of types, which are parts of its location."""
    key = []
    for number, part in enumerate(fault["loc"], 1):
        is_last = number == len(fault["loc"])
        if (isinstance(values, dict) and part in values) or (isinstance(values, list) and isinstance(part, int)):
            values = values[part]
        elif not (is_last and fault["type"] == "missing"):
            continue
        key.append(str(part))
    return ".".join(key)


def explain(fault: Any, model: type[BaseModel], values: Any = None) -> str:
    """Return one fault of a `ValidationError` as ``key: what is wrong``; ``values`` are those that were written."""
    key = written_at(fault, values) or ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        choices = fields_at(model, fault["loc"][:-1])
        hint = did_you_mean(str(fault["loc"][-1]), choices)
        return f"{key}: no such setting{hint}" + ("" if hint else f" (there are {', '.join(choices)})")
    if fault["type"] == "missing":
        return f"{key}: is missing"
    if fault["type"].startswith("union_tag"):
        return _wrong_tag(fault, key)
    message = fault["msg"][0].lower() + fault["msg"][1:]
    if fault["type"] == "value_error" and isinstance(fault["input"], dict):  # of several settings, which it names
        return f"{key}: {message.removeprefix('value error, ')}".removeprefix(": ")
    return f"{key or 'settings'}: {message.removeprefix('value error, ')}, got {fault['input']!r:.60}"


def _wrong_tag(fault: Any, key: str) -> str:
    """Return what is wrong with the setting that says which of several models this is, such as ``kind: ...``."""
    name = fault["ctx"]["discriminator"].strip("'")
    place = f"{key}.{name}".lstrip(".")
    if fault["type"] == "union_tag_not_found":
        return f"{place}: is missing"
    tag, choices = fault["ctx"]["tag"], fault["ctx"]["expected_tags"].replace("'", "").split(", ")
    hint = did_you_mean(tag, choices) or f" (there are {', '.join(choices)})"
    return f"{place}: no such {name} {tag!r:.60}{hint}"


def fields_at(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """Return the names of the settings at a place inside nested models."""
    annotation: Any = model
    for part in location:
        annotation = _inside(annotation, part)
    annotation = _bare(annotation)
    return list(annotation.model_fields) if _is_model(annotation) else []


def _inside(annotation: Any, part: Any) -> Any:
    """Return the type at one part of a place: a model's setting, an item of a sequence, one of several by its tag."""
    annotation = _bare(annotation)
    if _is_model(annotation):
        return annotation.model_fields[part].annotation if part in annotation.model_fields else None
    if isinstance(part, int):
        return next(iter(get_args(annotation)), None)
    for each in get_args(annotation):
        if get_origin(each) is Annotated and Tag(str(part)) in get_args(each)[1:]:
            return each
    tagged = [each for each in get_args(annotation) if _is_model(each)]
    return next((each for each in tagged if part in (field.default for field in each.model_fields.values())), None)


def _bare(annotation: Any) -> Any:
    """Return a type without what `Annotated` adds, and without the ``None`` of what may be left out."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    others = [each for each in get_args(annotation) if each is not NoneType]
    return others[0] if len(others) == 1 and NoneType in get_args(annotation) else annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
