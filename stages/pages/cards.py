"""Model cards in the Hub's format: metadata in YAML, then Markdown.

`compare` writes a card for every trained system. `published` and `merged` adapt a card to a copy of the
model in another place. huggingface_hub writes and reads the metadata. Its Jinja templates are not used,
because they would parse text from data as a template.
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

    The card compares the system with the original and with every other tuned system. Raises `KeyError`
    for a system whose kind is not in `KINDS`.
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
    kind_card = kind(settings, parts, str(system.folder))
    title, answer = kind_card.headline(name, rivals, results)
    sections = [
        f"# {text_cell(name)}",
        kind_card.description(),
        f"## {title}",
        text_cell(answer),
        table_markdown(results_table(compared)),
        table_markdown(further_table(compared)),
        _how_measured(results),
        *kind_card.cost(name, list(compared), results),
        "## What it is made of",
        bullets_markdown([part.markdown() for part in parts]),
        f"Its training rows are {text_cell(training.file)}, sha256 {training.sha256}.",
        "## Licence",
        licence_text(parts),
        "## Use and limits",
        kind_card.limits(),
        LOADING,
        *kind_card.loading(),
        *kind_card.usage(),
        "## How it was trained",
        table_markdown(_settings_table(kind_card, settings, results.accounts[name])),
        "To train it again in a checkout of the study, with "
        f"`profile: {settings.profile}` and the seeds above in `params.yaml`:",
        fenced(f"dvc repro {system.train_stage}", "sh"),
        "## Whom to cite",
        bullets_markdown(
            [text_cell(cited) for cited in citations(parts)] or ["The profile states no citation."]
        ),
    ]
    metadata = _metadata(name, kind_card, results).to_yaml()
    return f"---\n{metadata}\n---\n\n" + "\n\n".join(sections) + "\n"


def published(
    card: str, repo: str, base: BaseModelSource, precision: Precision, commit: str | None
) -> str:
    """The card of an adapter in the repository `repo` of the Hub.

    `commit`: the commit of the study that trained the adapter, None if it is not known.
    """
    if isinstance(base, HubBase):
        lines = [adapter_code(repo, f'{json.dumps(base.id)}, revision="{base.revision}"')]
    else:
        lines = [
            "No repository of the Hub contains its base model in exactly this form. Load it in a checkout "
            "of the study, where `dvc repro base_model` writes the base model to `models/base`.",
            adapter_code(repo, '"models/base"'),
        ]
    return _published(card, [*lines, *four_bit_note(precision)], commit)


def published_encoder(card: str, repo: str, commit: str | None) -> str:
    """The card of an encoder in the repository `repo` of the Hub; `commit` as in `published`."""
    return _published(card, [encoder_code(repo)], commit)


def _published(card: str, loading: Sequence[str], commit: str | None) -> str:
    content = ModelCard(card)
    content.text = _with_loading(content.text, loading)
    if commit is not None:
        content.text = content.text.replace("```sh\n", f"```sh\ngit checkout {commit}\n", 1)
    return str(content)


def merged(card: str, place: str, proof: str) -> str:
    """The card of the whole model in the folder `place`, made by merging the adapter into its base model.

    `proof`: a sentence on the comparison of adapter and merged model.
    """
    code = fenced(
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({json.dumps(place)})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(place)})",
        "python",
    )
    content = ModelCard(card)
    content.data.library_name = "transformers"
    if content.data.base_model is not None:
        content.data.base_model_relation = "finetune"
    title, rest = _with_loading(content.text.lstrip("\n"), [code]).split("\n\n", 1)
    content.text = f"\n{title}\n\n{text_cell(proof)}\n\n{rest}"
    return str(content)


# --- the sections of every kind -------------------------------------------------------------------


def _metadata(name: str, kind_card: Card, results: Results) -> ModelCardData:
    base, labelled, *_ = kind_card.parts
    licence = licence_of(kind_card.parts)
    if licence is not None and (licence in PERMISSIVE or licence.startswith("cc-")):
        licences = {"license": licence}
    else:  # "other" is the Hub's word for a licence that is not on its list
        licences = {"license": "other", "license_name": licence or "several-see-below"}
    datasets = dict.fromkeys(part.hub_id for part in kind_card.parts[1:] if part.hub_id is not None)
    fields: dict[str, Any] = {**licences}
    if base.hub_id is not None:
        fields |= {"base_model": base.hub_id, "base_model_relation": kind_card.relation}
    if labelled.hub_id is not None:  # the Hub needs one of its datasets for every result
        fields |= {"model_name": name, "eval_results": _results(labelled.hub_id, name, results)}
    return ModelCardData(
        library_name=kind_card.library,
        pipeline_tag=kind_card.pipeline,
        datasets=list(datasets) or None,
        tags=list(kind_card.tags),
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
        f"{results.confidence:.0%} interval over test rows. All metrics are about this trained model, "
        "not about the recipe: another training seed gives another model."
    )


def _settings_table(kind_card: Card, settings: Settings, account: Mapping[str, Any]) -> Table:
    rows: dict[str, Any] = {
        "profile": settings.profile,
        "task": settings.task,
        "seed": settings.seed,
        "training_seed": settings.training_seed,
        **kind_card.settings_used(),
        **{key: f"{account[key]:,}" for key in COUNTS if key in account},
        **{key: f"{account[key]:.4f}" for key in LOSSES if account[key] is not None},
    }
    cells = [[key, "all" if value is None else str(value)] for key, value in rows.items()]
    return Table(("setting or metric", "value"), cells)


def _with_loading(text: str, paragraphs: Sequence[str]) -> str:
    """The text with other paragraphs between LOADING and USAGE.

    The replaced text contains nothing from data, so both marks are unique.
    """
    before, rest = text.split(f"{LOADING}\n\n")
    _, mark, after = rest.partition(f"\n\n{USAGE}")
    return "\n\n".join([before + LOADING, *paragraphs]) + mark + after
