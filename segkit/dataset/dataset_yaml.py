"""dataset.yaml beside a CSV file or two folders: the names that these layouts have no place for.

channels: [CT]
labels: {liver: 1, spleen: 5}
ignore: 255
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from segkit.dataset.dataset_json import channels_of_json, check_ignore, labels_of_json
from segkit.errors import InputError
from segkit.labels.scheme import LabelScheme

FILES = ("dataset.yaml", "dataset.yml")
KEYS = ("channels", "labels", "regions", "ignore")
_OTHER_WORDS = {
    "channel_names": "channels",
    "modality": "channels",
    "modalities": "channels",
    "classes": "labels",
    "names": "labels",
    "ignore_label": "ignore",
    "regions_class_order": "regions",
}
"""What other programs call these keys."""
_MOST_BYTES = 1 << 18
_EXAMPLE = "channels: [CT], labels: {liver: 1, spleen: 5}, regions: {whole: [1, 2], core: [2]}, ignore: 255"


@dataclass(frozen=True)
class Names:
    """Channels and labels that a file gives; empty where it says nothing about them."""

    channels: tuple[str, ...] = ()
    scheme: LabelScheme = field(default_factory=lambda: LabelScheme({}))


def find_yaml(folder: Path) -> Path | None:
    """Return the dataset.yaml of a folder, if there is one.

    Raises:
        InputError: dataset.yaml and dataset.yml.
    """
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if len(found) > 1:
        raise InputError(
            folder,
            expected="one description",
            found=" and ".join(FILES),
            remedy="Remove the one that is not meant.",
        )
    return found[0] if found else None


def read_names(path: Path) -> Names:
    """Read a dataset.yaml.

    Raises:
        InputError: not YAML, an unknown key, or a value that is none of a key's.
    """
    content = _content(path)
    for key in content:
        _check_key(path, key)
    if "labels" in content and "regions" in content:
        raise _wrong(
            path,
            "labels or regions",
            "both",
            "Regions name all values that count: leave out labels.",
        )
    scheme = LabelScheme({})
    if "labels" in content:
        scheme = labels_of_json(path, _mapping(path, "labels", content["labels"]))
    elif "regions" in content:
        scheme = _regions(path, _mapping(path, "regions", content["regions"]))
    channels = _channels(path, content["channels"]) if "channels" in content else ()
    return Names(channels, _with_ignore(path, scheme, content))


def _content(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("more than 256 KB")
        # Every scalar stays text, so that "no" and 1e3 may be names.
        content = _plain(
            yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader), set()
        )
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        found = " ".join(str(error).split()) or type(error).__name__
        raise _wrong(
            path, "names in YAML", found, f"Write for example {_EXAMPLE}, a line each."
        ) from error
    if not isinstance(content, dict) or not content:
        raise _wrong(
            path,
            f"the keys {', '.join(KEYS)}",
            repr(content)[:80],
            f"Write for example {_EXAMPLE}.",
        )
    return content


def _plain(node: Any, seen: set[int]) -> Any:
    """Return a node as text, lists and dicts.

    Raises:
        ValueError: a key given twice, or an alias, which could make a small file a large one.
    """
    if id(node) in seen:
        raise ValueError("an alias (*name), which has no use here")
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, seen) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return node and node.value
    pairs = [(str(_plain(key, seen)), _plain(value, seen)) for key, value in node.value]
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} twice")
    return dict(pairs)


def _check_key(path: Path, key: str) -> None:
    if key not in KEYS:
        near = [_OTHER_WORDS[key]] if key in _OTHER_WORDS else get_close_matches(key, KEYS, n=1)
        hint = f"Did you mean {near[0]}?" if near else "Remove it."
        raise _wrong(path, f"the keys {', '.join(KEYS)}", repr(key), hint)


def _mapping(path: Path, key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        example = "{liver: 1, spleen: 5}" if key == "labels" else "{whole: [1, 2], core: [2]}"
        raise _wrong(
            path, f"names with values under {key}", _shown(value), f"Write {key}: {example}."
        )
    return value


def _regions(path: Path, regions: Mapping[str, Any]) -> LabelScheme:
    """Return the scheme of regions, each a list of values of the label files, or one value."""
    wrapped = {
        name: values if isinstance(values, list) or name == "ignore" else [values]
        for name, values in regions.items()
    }
    return labels_of_json(path, wrapped)


def _channels(path: Path, value: Any) -> tuple[str, ...]:
    names = (
        channels_of_json(path, value)
        if isinstance(value, dict)
        else tuple(value)
        if isinstance(value, list)
        else ()
    )
    if (
        not names
        or not all(isinstance(name, str) and name for name in names)
        or len(set(names)) < len(names)
    ):
        raise _wrong(
            path, "different names under channels", _shown(value), "Write channels: [FLAIR, T1]."
        )
    return names


def _with_ignore(path: Path, scheme: LabelScheme, content: Mapping[str, Any]) -> LabelScheme:
    if "ignore" not in content:
        return scheme
    text = content["ignore"]
    if not isinstance(text, str) or not re.fullmatch(r"[+-]?[0-9]{1,10}", text):
        raise _wrong(path, "one whole number under ignore", _shown(text), "Write ignore: 255.")
    ignore = int(text)
    if scheme.ignore not in (None, ignore):
        found = f"{scheme.ignore} under labels and {ignore} under ignore"
        raise _wrong(path, "one ignore value", found, "Remove one of the two.")
    check_ignore(path, scheme, ignore)
    return LabelScheme(scheme.labels, scheme.regions, ignore)


def _shown(value: Any) -> str:
    return repr(value)[:80]


def _wrong(path: Path, expected: str, found: str, remedy: str) -> InputError:
    return InputError(path, expected=expected, found=found, remedy=remedy)
