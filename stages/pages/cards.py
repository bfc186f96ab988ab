"""Model cards as the Hub reads them: metadata in YAML, then Markdown.

`compare` writes a card for every trained system. `published` and `merged` fit a card to a copy of the
model elsewhere. huggingface_hub writes and reads the metadata; its Jinja templates are not used, since
text from data would be parsed as a template.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from measure.results import Results
from pages.accuracy import further_table, metrics_note, results_table
from pages.adapter_card import AdapterCard, adapter_code, four_bit_note
from pages.blocks import Table
from pages.encoder_card import EncoderCard, encoder_code
from pages.markdown import bullets_markdown, fenced, table_markdown, text_cell
from pages.numbers import with_interval
from pages.parts import (
    PERMISSIVE,
    Training,
    citations,
    licence_of,
    licence_text,
    parts_of,
)
from settings.base_model import BaseModelSource, HubBase
from settings.model import Precision
from settings.read import Settings
from stats.confusion import METRICS
from systems import Kind, Trained

LOADING = "## How to load it"
USAGE = "It reads "  # the first words of every kind's `usage`
COUNTS = ("truncated_rows", "steps", "tokens", "trainable_parameters", "total_parameters")
LOSSES = ("train_loss", "validation_loss")
Card = AdapterCard | EncoderCard
KINDS: Mapping[Kind, type[Card]] = {"tuned": AdapterCard, "encoder": EncoderCard}


def card_markdown(
    name: str,
    settings: Settings,
    training: Training,
    results: Results,
) -> str:
    """The whole card of a trained system, as it is in the repository.

    The card compares with the original and with every other tuned system. Raises `KeyError` for a
    system whose kind has no card.
    """
    system = results.systems[name]
    assert isinstance(system, Trained)
    rivals = [tuned.name for tuned in results.systems.tuned if tuned.name != name]
    compared = {
        other: metrics
        for other, metrics in results.metrics.items()
        if other in (name, results.systems.original.name, *rivals)
    }
    kind = KINDS[system.kind]
    parts = parts_of(kind.base(settings), settings.sources, settings.origins, training)
    of_kind = kind(settings, parts, str(system.folder))
    title, answer = of_kind.headline(name, rivals, results)
    sections = [
        f"# {text_cell(name)}",
        of_kind.description(),
        f"## {title}",
        text_cell(answer),
        table_markdown(results_table(compared)),
        table_markdown(further_table(compared)),
        _how_measured(results),
        *of_kind.cost(name, list(compared), results),
        "## What it is made of",
        bullets_markdown([part.markdown() for part in parts]),
        f"Its training rows are {text_cell(training.file)}, sha256 {training.sha256}.",
        "## Licence",
        licence_text(parts),
        "## Use and limits",
        of_kind.limits(),
        LOADING,
        *of_kind.loading(),
        *of_kind.usage(),
        "## How it was trained",
        table_markdown(_settings_table(of_kind, settings, results.accounts[name])),
        "In a checkout of the study whose `params.yaml` says "
        f"`profile: {settings.profile}` and the seeds above, this trains it again:",
        fenced(f"dvc repro {system.train_stage}", "sh"),
        "## Whom to cite",
        bullets_markdown(
            [text_cell(cited) for cited in citations(parts)] or ["The profile names nobody."]
        ),
    ]
    return _written(_metadata(name, of_kind, results), "\n\n".join(sections) + "\n")


def published(
    card: str, repo: str, base: BaseModelSource, precision: Precision, commit: str | None
) -> str:
    """The card of an adapter that lies in the repository `repo` of the Hub.

    `commit` is the study's, where the study is known to have trained the adapter at that commit.
    """
    if isinstance(base, HubBase):
        lines = [adapter_code(repo, f'{json.dumps(base.id)}, revision="{base.revision}"')]
    else:
        lines = [
            "Its base lies in no repository of the Hub in just this form: load it in a checkout of the "
            "study, where `dvc repro base_model` puts the base into `models/base`.",
            adapter_code(repo, '"models/base"'),
        ]
    return _published(card, [*lines, *four_bit_note(precision)], commit)


def published_encoder(card: str, repo: str, commit: str | None) -> str:
    """The card of an encoder that lies in the repository `repo` of the Hub; `commit` as in `published`."""
    return _published(card, [encoder_code(repo)], commit)


def _published(card: str, loading: Sequence[str], commit: str | None) -> str:
    content = ModelCard(card)
    content.text = _with_loading(content.text, loading)
    if commit is not None:
        content.text = content.text.replace("```sh\n", f"```sh\ngit checkout {commit}\n", 1)
    return str(content)


def merged(card: str, place: str, proof: str) -> str:
    """The card of a model into whose weights the adapter is merged; `proof` says how that went."""
    lines = fenced(
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({json.dumps(place)})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(place)})",
        "python",
    )
    content = ModelCard(card)
    content.data.library_name = "transformers"
    if content.data.base_model is not None:
        content.data.base_model_relation = "finetune"
    title, rest = _with_loading(content.text.lstrip("\n"), [lines]).split("\n\n", 1)
    content.text = f"\n{title}\n\n{text_cell(proof)}\n\n{rest}"
    return str(content)


# --- the sections of every kind -------------------------------------------------------------------


def _metadata(name: str, of_kind: Card, results: Results) -> ModelCardData:
    base, labelled, *_ = of_kind.parts
    licence = licence_of(of_kind.parts)
    if licence is not None and (licence in PERMISSIVE or licence.startswith("cc-")):
        licences = {"license": licence}
    else:  # for a licence that is not on its list, the Hub has the word "other"
        licences = {"license": "other", "license_name": licence or "several-see-below"}
    datasets = dict.fromkeys(part.hub_id for part in of_kind.parts[1:] if part.hub_id is not None)
    fields: dict[str, Any] = {**licences}
    if base.hub_id is not None:
        fields |= {"base_model": base.hub_id, "base_model_relation": of_kind.relation}
    if labelled.hub_id is not None:  # the Hub files results under one of its datasets
        fields |= {"model_name": name, "eval_results": _results(labelled.hub_id, name, results)}
    return ModelCardData(
        library_name=of_kind.library,
        pipeline_tag=of_kind.pipeline,
        datasets=list(datasets) or None,
        tags=list(of_kind.tags),
        **fields,
    )


def _results(dataset: str, name: str, results: Results) -> list[EvalResult]:
    labelled = results.metrics[name].labelled
    return [
        EvalResult(
            task_type="text-classification",
            task_name="the most likely label",
            dataset_type=dataset,
            dataset_name=f"{labelled.n} rows of its test split",
            dataset_split="test",
            metric_type=metric.key,
            metric_name=f"{metric.heading}, with its interval "
            f"{with_interval(labelled.metrics[metric.key])}",
            metric_value=round(labelled.metrics[metric.key].value, 4),
        )
        for metric in METRICS
    ]


def _how_measured(results: Results) -> str:
    return (
        f"{text_cell(metrics_note(results.metrics, results.labels))} Each metric has its "
        f"{results.confidence:.0%} interval over test rows. All this is about this trained model, not "
        "about the recipe: another training seed gives another model."
    )


def _settings_table(of_kind: Card, settings: Settings, account: Mapping[str, Any]) -> Table:
    rows: dict[str, Any] = {
        "profile": settings.profile,
        "task": settings.task,
        "seed": settings.seed,
        "training_seed": settings.training_seed,
        **of_kind.settings_used(),
        **{key: f"{account[key]:,}" for key in COUNTS if key in account},
        **{key: f"{account[key]:.4f}" for key in LOSSES if account[key] is not None},
    }
    cells = [[key, "all" if value is None else str(value)] for key, value in rows.items()]
    return Table(("setting or metric", "value"), cells)


def _with_loading(text: str, paragraphs: Sequence[str]) -> str:
    """The text with other paragraphs under LOADING. Nothing between the two marks comes from data."""
    before, rest = text.split(f"{LOADING}\n\n")
    _, mark, after = rest.partition(f"\n\n{USAGE}")
    return "\n\n".join([before + LOADING, *paragraphs]) + mark + after


def _written(data: ModelCardData, text: str) -> str:
    return f"---\n{data.to_yaml()}\n---\n\n{text}"
