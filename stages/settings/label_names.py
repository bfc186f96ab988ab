"""The labels' names in one Unicode form, whatever keyboard or program wrote the profile."""

import unicodedata
from typing import Any


def with_labels_in_nfc(profile: Any) -> Any:
    """A profile as YAML contains it, with the labels in Unicode NFC: in `labels`, label_values and bands.

    Unicode writes é in two ways that look alike; without this, such names would differ. Anything that has
    not the form of a profile is returned as it is.
    """
    if not isinstance(profile, dict):
        return profile
    profile = {**profile}
    if isinstance(labels := profile.get("labels"), dict):
        profile["labels"] = {key: _composed(value) for key, value in labels.items()}
    sources = profile.get("sources")
    if isinstance(sources, dict) and isinstance(source := sources.get("labelled"), dict):
        source = {**source}
        if isinstance(values := source.get("label_values"), dict):
            source["label_values"] = {key: _composed(label) for key, label in values.items()}
        if isinstance(bands := source.get("bands"), dict):
            composed = {_composed(label): band for label, band in bands.items()}
            source["bands"] = composed if len(composed) == len(bands) else bands
        profile["sources"] = {**sources, "labelled": source}
    return profile


def _composed(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    return [_composed(entry) for entry in value] if isinstance(value, list) else value
