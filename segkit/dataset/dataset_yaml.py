"""Read dataset.yaml, which names channels and labels for dataset layouts that cannot name them.

It lies next to a CSV file or the two folders of a dataset:

    channels: [CT]
    labels: {spleen: 1, liver: 5}
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
_SYNONYMS = {
    "channel_names": "channels",
    "modality": "channels",
    "modalities": "channels",
    "classes": "labels",
    "names": "labels",
    "ignore_label": "ignore",
    "regions_class_order": "regions",
}
"""Names that other programs give to these keys."""
_MAX_BYTES = 1 << 18
_EXAMPLE = (
    "channels: [CT], labels: {spleen: 1, liver: 5}, regions: {whole: [1, 2], core: [2]},"
    " ignore: 255"
)


@dataclass(frozen=True)
class Names:
    """Channels and labels from a dataset.yaml; empty where the file does not name them."""

    channels: tuple[str, ...] = ()
    scheme: LabelScheme = field(default_factory=lambda: LabelScheme({}))


def find_yaml(folder: Path) -> Path | None:
    """Return the dataset.yaml or dataset.yml of a folder, or None.

    Raises:
        InputError: the folder has both files.
    """
    paths = [folder / name for name in FILES if (folder / name).is_file()]
    if len(paths) > 1:
        raise InputError(
            folder,
            expected="one description of the dataset",
            found=" and ".join(FILES),
            remedy="Remove one of the two.",
        )
    return paths[0] if paths else None


def read_names(path: Path) -> Names:
    """Return the channels and labels in a dataset.yaml.

    Raises:
        InputError: the file is not YAML, has an unknown key, or has a value that does not fit its
            key.
    """
    content = _content(path)
    for key in content:
        _check_key(path, key)
    if "labels" in content and "regions" in content:
        raise InputError(
            path,
            expected="labels or regions",
            found="both",
            remedy="Regions already name all values: remove labels.",
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
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("more than 256 KB")
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
        content = _plain(node, set())
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        found = " ".join(str(error).split()) or type(error).__name__
        remedy = f"Write for example {_EXAMPLE}, each on its own line."
        raise InputError(path, expected="names in YAML", found=found, remedy=remedy) from error
    if not isinstance(content, dict) or not content:
        raise InputError(
            path,
            expected=f"the keys {', '.join(KEYS)}",
            found=_shortened(content),
            remedy=f"Write for example {_EXAMPLE}.",
        )
    return content


def _plain(node: Any, seen: set[int]) -> Any:
    """Return a YAML node as lists and dicts of text; scalars stay text, because "no" may be a name.

    Raises:
        ValueError: a key is given twice, or there is an alias, by which a small file could expand
            to a huge one.
    """
    if id(node) in seen:
        raise ValueError("an alias (*name), which is not supported here")
    seen.add(id(node))
    if node is None:
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, seen) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return node.value
    pairs = [(str(_plain(key, seen)), _plain(value, seen)) for key, value in node.value]
    counts = Counter(key for key, _ in pairs)
    duplicates = [key for key, count in counts.items() if count > 1]
    if duplicates:
        raise ValueError(f"{duplicates[0]!r} twice")
    return dict(pairs)


def _check_key(path: Path, key: str) -> None:
    if key in KEYS:
        return
    matches = [_SYNONYMS[key]] if key in _SYNONYMS else get_close_matches(key, KEYS, n=1)
    remedy = f"Did you mean {matches[0]}?" if matches else "Remove it."
    raise InputError(path, expected=f"the keys {', '.join(KEYS)}", found=repr(key), remedy=remedy)


def _mapping(path: Path, key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        example = "{spleen: 1, liver: 5}" if key == "labels" else "{whole: [1, 2], core: [2]}"
        raise InputError(
            path,
            expected=f"names with values under {key}",
            found=_shortened(value),
            remedy=f"Write {key}: {example}.",
        )
    return value


def _regions(path: Path, regions: Mapping[str, Any]) -> LabelScheme:
    """Return the scheme of regions, each given as a list of values or as one value."""
    value_lists = {
        name: values if isinstance(values, list) or name == "ignore" else [values]
        for name, values in regions.items()
    }
    return labels_of_json(path, value_lists)


def _channels(path: Path, value: Any) -> tuple[str, ...]:
    names: tuple[Any, ...] = ()
    if isinstance(value, dict):
        names = channels_of_json(path, value)
    elif isinstance(value, list):
        names = tuple(value)
    valid = all(isinstance(name, str) and name for name in names)
    if not names or not valid or len(set(names)) < len(names):
        raise InputError(
            path,
            expected="different names under channels",
            found=_shortened(value),
            remedy="Write channels: [FLAIR, T1].",
        )
    return names


def _with_ignore(path: Path, scheme: LabelScheme, content: Mapping[str, Any]) -> LabelScheme:
    if "ignore" not in content:
        return scheme
    text = content["ignore"]
    if not isinstance(text, str) or not re.fullmatch(r"[+-]?[0-9]{1,10}", text):
        raise InputError(
            path,
            expected="one whole number under ignore",
            found=_shortened(text),
            remedy="Write ignore: 255.",
        )
    ignore = int(text)
    if scheme.ignore not in (None, ignore):
        raise InputError(
            path,
            expected="one ignore value",
            found=f"{scheme.ignore} under labels and {ignore} under ignore",
            remedy="Remove one of the two.",
        )
    check_ignore(path, scheme, ignore)
    return LabelScheme(scheme.labels, scheme.regions, ignore)


def _shortened(value: Any) -> str:
    return repr(value)[:80]
