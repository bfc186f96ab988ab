"""What settings promise: each mistake is named with file, key, value and what is allowed."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runtime.errors import StudyError

import pytest
import yaml

from settings.read import read_settings
from settings.sources import Band, PackageSource

Change = Callable[[Path, str, object], None]

PARAMS = "params.yaml"
PROFILE = "profiles/small.yaml"
LABELLED = "sources.labelled"
SHA256 = "ab" * 32
PACKAGE = {"name": "rows", "version": "1.0", "sha256": SHA256, "form": "sdist"}
RATED = {
    "kind": "files",
    "splits": {"train": "a.csv", "validation": "b.csv", "test": "c.csv"},
    "columns": {"text": "text", "rating": "rating"},
    "bands": {"negative": {"max": -0.5}, "positive": {"min": 0.5}},
}
HUB = {"kind": "hub", "id": "a/b", "splits": {"train": "train"}, "test_share": 0.1}

# file, key, value (... removes the key), what the message must say besides the file
MISTAKES: list[tuple[str, str, Any, list[str]]] = [
    # unknown, missing, of another type, out of range
    (
        PARAMS,
        "mix.general_row",
        5,
        ["mix.general_row is not a setting", "did you mean general_rows?"],
    ),
    (
        PARAMS,
        "sed",
        1,
        ["sed is not a setting", "allowed here: profile, seed", "did you mean seed?"],
    ),
    (PARAMS, "seed", ..., ["seed is missing"]),
    (PARAMS, "seed", "many", ["seed = 'many'", "integer"]),
    (PARAMS, "seed", -1, ["seed = -1", "greater than or equal to 0"]),
    (PARAMS, "seed", None, ["seed = None", "integer"]),
    (PARAMS, "profile", "no one", ["profile = 'no one'", "pattern"]),
    (PARAMS, "profile", "../small", ["profile = '../small'", "pattern"]),
    (
        PARAMS,
        "profile",
        "smal",
        ["profile = 'smal'", "profiles/smal.yaml", "existing profiles: small"],
    ),
    (PARAMS, "prompt_format", "vicuna", ["prompt_format = 'vicuna'", "'alpaca' or 'chat'"]),
    (PARAMS, "prepare.max_rejected_share", 1.5, ["prepare.max_rejected_share = 1.5", "less than"]),
    (PARAMS, "prepare", 0.1, ["prepare = 0.1", "should be a mapping"]),
    (PARAMS, "instructify.templates", "../t.yaml", ["instructify.templates", "'../t.yaml'"]),
    (PARAMS, "instructify.templates", "/t.yaml", ["'/t.yaml'", "inside the repository"]),
    (PARAMS, "compare.confidence", 95, ["compare.confidence = 95", "less than 1"]),
    # mix: one of two
    (PARAMS, "mix.general_share", 0.5, ["mix: set either general_rows or general_share"]),
    (PARAMS, "mix.general_rows", None, ["mix: set either general_rows or general_share"]),
    (PARAMS, "mix.general_rows", 0, ["mix.general_rows = 0", "greater than or equal to 1"]),
    # the profile
    (PROFILE, "train.learning_rat", 0.1, ["train.learning_rat is no", "mean learning_rate?"]),
    (PROFILE, "train.learning_rate", "fast", ["train.learning_rate = 'fast'", "number"]),
    (PROFILE, "train.learning_rate", 2, ["train.learning_rate = 2", "less than 1"]),
    (PROFILE, "train.learning_rate", math.nan, ["train.learning_rate = nan", "finite"]),
    (PROFILE, "train.epochs", math.inf, ["train.epochs = inf", "finite"]),
    (PROFILE, "train.batch_size", 0, ["train.batch_size = 0", "greater than or equal to 1"]),
    (PROFILE, "train.batch_size", 2.5, ["train.batch_size = 2.5", "integer"]),
    (PROFILE, "train.gradient_checkpointing", "maybe", ["'maybe'", "boolean"]),
    (PROFILE, "precision.dtype", "fp16", ["precision.dtype = 'fp16'", "'float32' or 'bfloat16'"]),
    (PROFILE, "evaluate", ..., ["evaluate is missing"]),
    (PROFILE, "launch", ..., ["launch is missing"]),
    (PROFILE, "launch", "../two.yaml", ["launch = '../two.yaml'", "inside the repository"]),
    # labels
    (PROFILE, "labels.positive", "good", ["labels: positive = 'good'", "negative, positive"]),
    (PROFILE, "labels.names", ["negative"], ["labels.names = ['negative']", "at least 2"]),
    (PROFILE, "labels.names", ["no", " NO "], ["labels: names must differ"]),
    (PROFILE, "labels.names", [False, "positive"], ["labels.names.0 = False", "string"]),
    (
        PROFILE,
        "labels",
        {"names": ["bad", "positive"], "positive": "positive"},
        ["sources.labelled.label_values", "['negative', 'positive']", "['bad', 'positive']"],
    ),
    (PROFILE, LABELLED, RATED | {"bands": {"bad": {"max": 0}}}, ["labelled.bands", "['bad']"]),
    (PROFILE, "labels.names", [1, 2], ["names.0 = 1, labels.names.1 = 2: must be a string: YAML"]),
    (
        PROFILE,
        f"{LABELLED}.label_values",
        "Auto",
        ["label_values = 'Auto': must be a mapping or auto"],
    ),
    (PROFILE, f"{LABELLED}.label_values", {"a": [1]}, ["label_values.a = [1]", "valid string"]),
    (
        PROFILE,
        f"{LABELLED}.label_values",
        {0: "negative", "x": "positive"},
        ["label_values has texts and other values as keys ('x' and 0), which DVC cannot sort"],
    ),
    (PROFILE, f"{LABELLED}.ignore_labels", "neutral", ["ignore_labels = 'neutral'", "valid list"]),
    (PROFILE, LABELLED, RATED | {"ignore_labels": ["a"]}, ["ignore_labels needs columns.label"]),
    (PROFILE, f"{LABELLED}.columns.text", [], ["columns.text = []", "at least 1"]),
    (PROFILE, f"{LABELLED}.columns.text", ["a", "a"], ["columns.text", "names a column twice"]),
    # reading
    (PROFILE, f"{LABELLED}.reading", {"escape": "\\\\"}, ["reading.escape", "at most 1"]),
    (
        PROFILE,
        f"{LABELLED}.reading",
        {"escape": '"'},
        ["reading.escape = '\"': must not be a line end"],
    ),
    (
        PROFILE,
        f"{LABELLED}.reading",
        {"escape": "~", "delimiter": "~"},
        ["reading: escape must not be the delimiter"],
    ),
    (
        PROFILE,
        f"{LABELLED}.reading",
        {"escape": "~", "quoting": False},
        ["reading: escape needs quoting: true"],
    ),
    # sources: kinds, splits
    (PROFILE, f"{LABELLED}.kind", ..., [f"{LABELLED}.kind is missing", "package, files, hub"]),
    (PROFILE, f"{LABELLED}.kind", "file", [LABELLED, "'file'", "'package', 'files', 'hub'"]),
    (PROFILE, f"{LABELLED}.kind", "tasks", [LABELLED, "'tasks'", "'package', 'files', 'hub'"]),
    (PROFILE, "sources.general", [], ["sources.general = []", "at least 1"]),
    (PROFILE, "sources.general.0.kind", "list", ["sources.general.0", "'list'", "'tasks'"]),
    (PROFILE, f"{LABELLED}.splits.train", ..., [f"{LABELLED}: splits must name train"]),
    (PROFILE, f"{LABELLED}.splits.tset", "x", ["splits.tset", "'train', 'validation' or 'test'"]),
    (PROFILE, f"{LABELLED}.validation_share", ..., ["has no validation: set validation_share"]),
    (PROFILE, f"{LABELLED}.splits.test", ..., ["splits has no test: set test_share"]),
    (PROFILE, f"{LABELLED}.validation_share", 1, ["validation_share = 1", "less than 1"]),
    (PROFILE, f"{LABELLED}.take.trian", 5, ["take.trian is not a setting", "did you mean train?"]),
    (PROFILE, "sources.general.0.test_share", ..., ["sources.general.0: splits has no test"]),
    (PROFILE, "sources.general.0.take", {"validation": 1}, ["only the splits train and test"]),
    # an unknown key is told the keys of its own kind of source, and of no other
    (
        PROFILE,
        "sources.general.1.trian",
        5,
        ["general.1.trian is no", "allowed here: kind, train, test_seen, test_held_out; did"],
    ),
    # origins: a typo is named where it stands, not as a kind of source
    (
        PROFILE,
        "origins",
        {"labelled": {"licens": "MIT"}},
        ["origins.labelled.licens is not a setting"],
    ),
    (PROFILE, "origins", {"general": [{"ur": "x"}]}, ["origins.general.0.ur is no", "mean url?"]),
    (
        PROFILE,
        "origins",
        {"general": [{"cite": ""}]},
        ["origins.general.0.cite = ''", "at least 1"],
    ),
    # sources: columns, labels, bands
    (PROFILE, f"{LABELLED}.columns.rating", "r", [f"{LABELLED}.columns: set either label or"]),
    (PROFILE, f"{LABELLED}.columns.label", ..., [f"{LABELLED}.columns: set either label or"]),
    (PROFILE, f"{LABELLED}.label_values", ..., ["columns.label needs label_values"]),
    (PROFILE, LABELLED, RATED | {"bands": {}}, ["columns.rating needs bands"]),
    (
        PROFILE,
        LABELLED,
        RATED | {"bands": {"negative": {"max": 0.5}, "positive": {"min": 0.5}}},
        [f"{LABELLED}: bands must not overlap"],
    ),
    (
        PROFILE,
        LABELLED,
        RATED | {"bands": {"negative": {}, "positive": {"min": 0.5}}},
        [f"{LABELLED}: bands must not overlap"],
    ),
    (
        PROFILE,
        LABELLED,
        RATED | {"bands": {"negative": {"max": 0}, "positive": {"min": 3, "max": 1}}},
        [f"{LABELLED}.bands.positive: min = 3 must not be above max = 1"],
    ),
    (
        PROFILE,
        LABELLED,
        RATED | {"bands": {"negative": {"maxi": 0}, "positive": {"min": 1}}},
        [f"{LABELLED}.bands.negative.maxi is not a setting", "allowed here: min, max"],
    ),
    # sources: reading, pins
    (PROFILE, f"{LABELLED}.reading", {"encoding": "utf-9"}, ["reading.encoding = 'utf-9'"]),
    (PROFILE, f"{LABELLED}.reading", {"delimiter": ", "}, ["reading.delimiter = ', '"]),
    (
        PROFILE,
        f"{LABELLED}.reading",
        {"format": "xlsx"},
        ["'xlsx'", "'parquet', 'csv' or 'jsonl'"],
    ),
    (PROFILE, f"{LABELLED}.sha256", {"test": "AB" * 32}, ["sha256.test = 'ABAB", "pattern"]),
    (PROFILE, f"{LABELLED}.sha256", {"test": "ab"}, ["sha256.test = 'ab'", "{64}"]),
    (PROFILE, "sources.general.0", HUB, ["sources.general.0.revision is missing"]),
    (PROFILE, "sources.general.0", HUB | {"revision": "main"}, ["revision = 'main'", "{40}"]),
    (
        PROFILE,
        "base_model",
        {"kind": "hub", "id": "a/b", "revision": "v 1"},
        ["base_model.revision = 'v 1'", "pattern"],
    ),
    (
        PROFILE,
        "base_model",
        {"kind": "package", "gguf": "x", "package": PACKAGE | {"sha256": "x", "md5": "y"}},
        [
            "base_model.package.sha256 = 'x'",
            "package.md5 is not a setting",
            "name, version, sha256",
        ],
    ),
    (PROFILE, "base_model.kind", ..., ["base_model.kind is missing; allowed: package, path, hub"]),
]


@pytest.mark.parametrize(("file", "key", "value", "parts"), MISTAKES)
def test_a_mistake_is_named(
    study: Path, change: Change, file: str, key: str, value: object, parts: list[str]
) -> None:
    change(study / file, key, value)
    with pytest.raises(StudyError) as raised:
        read_settings("seed")
    message = str(raised.value)
    assert file in message
    for part in parts:
        assert part in message


def test_labels_that_yaml_reads_as_yes_and_no_are_one_message(study: Path) -> None:
    text = (study / PROFILE).read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    content["labels"] = {"names": [False, True], "positive": True}
    content["sources"]["labelled"]["label_values"] = {False: False, True: True}
    (study / PROFILE).write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(StudyError) as raised:
        read_settings("seed")
    message = str(raised.value)
    assert "\n" not in message
    for part in (
        "labels.names.0 = False, labels.names.1 = True, labels.positive = True",
        "sources.labelled.label_values.0 = False, sources.labelled.label_values.1 = True, ",
        "must be a string: YAML reads yes, no, on and off without quotation marks as true or false",
        'names: ["no", "yes"]',
    ):
        assert part in message


def test_labels_are_the_same_in_either_unicode_form(study: Path, change: Change) -> None:
    composed, decomposed = "f\u00e9lin", "fe\u0301lin"
    change(study / PROFILE, "labels", {"names": [decomposed, "dog"], "positive": composed})
    change(study / PROFILE, f"{LABELLED}.label_values", {0: composed, 4: "dog"})
    settings = read_settings("labels", "sources")
    assert settings.labels.names == [composed, "dog"]
    assert settings.sources.labelled.label_values == {0: composed, 4: "dog"}
    change(
        study / PROFILE, LABELLED, RATED | {"bands": {decomposed: {"max": 0}, "dog": {"min": 1}}}
    )
    assert set(read_settings("sources").sources.labelled.bands) == {composed, "dog"}
    change(study / PROFILE, "labels.names", [composed, decomposed])
    with pytest.raises(StudyError, match="names must differ"):
        read_settings("labels")


def test_labels_may_be_taken_as_they_stand(study: Path, change: Change) -> None:
    change(study / PROFILE, f"{LABELLED}.label_values", "auto")
    change(study / PROFILE, f"{LABELLED}.ignore_labels", ["neutral", 0])
    source = read_settings("sources").sources.labelled
    assert source.label_values == "auto"
    assert source.ignore_labels == ["neutral", 0]


def test_a_text_column_or_a_list_of_text_columns(study: Path, change: Change) -> None:
    assert read_settings("sources").sources.labelled.columns.text == ["text"]
    change(study / PROFILE, f"{LABELLED}.columns.text", ["premise", "hypothesis"])
    assert read_settings("sources").sources.labelled.columns.text == ["premise", "hypothesis"]


def test_every_mistake_of_a_file_is_told_at_once(study: Path, change: Change) -> None:
    change(study / PARAMS, "seed", "x")
    change(study / PARAMS, "mix.rows", 1)
    with pytest.raises(StudyError, match=r"seed = 'x'[^\n]*\nerror: params.yaml: mix.rows is no"):
        read_settings("seed")


# what stands in the file, what the message must say
BROKEN: list[tuple[bytes, str]] = [
    (b"seed: 1\nseed: 2\n", "params.yaml: not valid YAML: the key 'seed' occurs twice.*line 2"),
    (b"mix: {general_rows: 1, general_rows: 2}\n", "the key 'general_rows' occurs twice"),
    (b"seed: [1\n", "params.yaml: not valid YAML: .*line 1"),
    (b"seed: 1\n  mix: 2\n", "not valid YAML"),
    (b"seed: 2026-99-99\n", "not valid YAML: month must be"),
    (b"seed: 0x_\n", "not valid YAML"),
    (b"? [seed]\n: 1\n", "not valid YAML.*unhashable"),
    (b"seed: !!python/object/apply:os.getcwd []\n", "not valid YAML: could not determine"),
    (b"seed: \xff\n", "params.yaml: cannot be read"),
    (b"", "params.yaml: must be a mapping"),
    (b"- seed\n", "params.yaml: must be a mapping"),
]


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_a_file_that_is_no_settings_is_named(study: Path, content: bytes, message: str) -> None:
    (study / PARAMS).write_bytes(content)
    with pytest.raises(StudyError, match=message):
        read_settings("seed")


def test_a_missing_file_is_named(study: Path) -> None:
    (study / PARAMS).unlink()
    with pytest.raises(StudyError, match=r"^params.yaml: no such file$"):
        read_settings("seed")


def test_a_stage_reaches_only_the_sections_it_asked_for(study: Path) -> None:
    settings = read_settings("seed", "mix")
    assert settings.seed == 42
    assert settings.mix.general_rows == 20
    for section in ("profile", "prepare", "sources", "labels", "train"):
        with pytest.raises(AttributeError, match=f"did not ask read_settings for '{section}'"):
            getattr(settings, section)


def test_settings_cannot_be_changed(study: Path) -> None:
    mix = read_settings("mix").mix
    with pytest.raises(ValueError, match="frozen"):
        mix.general_rows = 5


@pytest.mark.parametrize("spelling", ["5e-4", "5.0e-4", "0.0005", "'5e-4'"])
def test_a_learning_rate_reads_the_same_however_it_is_spelt(study: Path, spelling: str) -> None:
    # YAML 1.1 takes 5e-4, without a point, for text.
    text = (study / PROFILE).read_text(encoding="utf-8")
    assert "learning_rate: 0.001" in text
    text = text.replace("learning_rate: 0.001", f"learning_rate: {spelling}")
    (study / PROFILE).write_text(text, encoding="utf-8")
    assert read_settings("train").train.learning_rate == 5e-4


def test_an_anchor_can_be_merged(study: Path) -> None:
    text = (study / PARAMS).read_text(encoding="utf-8")
    text = text.replace("mix:\n", "mix:\n  <<: &none {general_share: null}\n", 1)
    text = text.replace("  general_share: null\n", "")
    (study / PARAMS).write_text(text, encoding="utf-8")
    assert read_settings("mix").mix.general_share is None


def test_a_band_holds_both_its_ends() -> None:
    band = Band(min=-1, max=2)
    assert [band.holds(rating) for rating in (-1.1, -1, 0, 2, 2.1)] == [0, 1, 1, 1, 0]
    assert Band().holds(99)
    assert not Band(min=0).holds(math.nan)


def test_every_shipped_profile_is_right(
    study: Path, change: Change, repo: Path, subtests: pytest.Subtests
) -> None:
    shutil.copy(repo / PARAMS, study / PARAMS)
    shutil.copytree(repo / "profiles", study / "profiles", dirs_exist_ok=True)
    names = [path.stem for path in (repo / "profiles").glob("*.yaml")]
    assert "pocket" in names
    for name in names:
        with subtests.test(name):
            change(study / PARAMS, "profile", name)
            settings = read_settings("sources", "labels", "base_model")
            assert settings.labels.positive in settings.labels.names
            if isinstance(settings.sources.labelled, PackageSource):
                assert len(settings.sources.labelled.package.sha256) == 64
