"""Model cards as the Hub reads them: metadata in YAML between two lines `---`, then Markdown.

A card is written once a model's figures exist. `placed` then fits it to where a copy of the model goes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pages.report import (
    METRICS,
    ORIGINAL,
    TUNED,
    Systems,
    cost_clause,
    cost_table,
    gain_sentence,
    results_table,
    verdict_of,
)
from pages.tables import Table, bullets, text_cell, with_interval
from prompts.format import PromptFormat, write_prompt
from settings.labels import Labels
from settings.model import HubBase, PackageBase, PathBase, Precision
from settings.read import Settings
from settings.section import Origin
from settings.sources import FilesSource, HubSource, PackageSource, Sources, TasksSource
from stats.verdicts import Verdict

BaseSource = PackageBase | PathBase | HubBase

TASKS = Origin(licence="Apache-2.0")  # made by this project's programs, under its licence
PERMISSIVE = {"apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "isc", "mit"}

LOADING = "## How to load it"
PROMPTS = "It reads prompts of this form, and answers what comes next:"
SIZES = ("trainable_parameters", "total_parameters")


@dataclass(frozen=True)
class Part:
    """What a tuned model is made of: its base, or a source that gave `rows` of its training rows."""

    role: str
    name: str
    origin: Origin
    rows: int | None = None


@dataclass(frozen=True)
class Training:
    """What a model was trained on: rows by source and their file's hash; `metrics/train_*.json`."""

    labelled: int
    general: Mapping[int, int]  # rows by the number that `prepare` gives each source
    file: str
    sha256: str
    account: Mapping[str, Any]


# --- what a model is made of ----------------------------------------------------------------------


def parts_of(base: BaseSource, sources: Sources, training: Training) -> list[Part]:
    """The base first, then every source that a training row really comes from."""
    parts = [
        Part("base model", _named(base), base),
        Part("labelled rows", _named(sources.labelled), sources.labelled, training.labelled),
    ]
    tables = [each for each in sources.general if not isinstance(each, TasksSource)]
    tasks = [each for each in sources.general if isinstance(each, TasksSource)]
    for number, source in enumerate([*tables, *tasks]):  # the order in which `prepare` counts them
        if training.general.get(number):
            origin = TASKS if isinstance(source, TasksSource) else source
            rows = training.general[number]
            parts.append(Part("general instructions", _named(source), origin, rows))
    return parts


def licence_of(parts: Sequence[Part]) -> str | None:
    """The licence of a model made of these parts; None where there is no one answer.

    A permissive licence asks that its notice be kept and leaves the rest to others: where one single
    licence besides is found, that one rules; where none is, the base's does. Two others give no
    answer, nor does a part whose profile states none where nothing stricter is known.
    """
    stated = [each.origin.licence and each.origin.licence.lower() for each in parts]
    ruling = set(stated) - PERMISSIVE - {None}
    if len(ruling) > 1 or (None in stated and not ruling):
        return None
    return ruling.pop() if ruling else stated[0]


def hub_id(origin: Origin) -> str | None:
    """The id on the Hub: a source's own, or the one of the page that its url names."""
    if isinstance(origin, HubBase | HubSource):
        return origin.id
    page = r"https://huggingface\.co/(?:datasets/)?([\w.-]+/[\w.-]+)/?"
    found = re.fullmatch(page, origin.url or "")
    return found and found[1]


def _named(source: Any) -> str:
    if isinstance(source, PackageSource | PackageBase):
        package = source.package
        held = f"package {package.name} {package.version} ({package.form}, sha256 {package.sha256})"
        return f"{source.gguf} of {held}" if isinstance(source, PackageBase) else held
    if isinstance(source, HubBase | HubSource):
        return f"{source.id} at {source.revision}"
    if isinstance(source, FilesSource):
        return ", ".join(
            f"{path} (sha256 {source.sha256[split]})" if split in source.sha256 else path
            for split, path in source.splits.items()
        )
    if isinstance(source, PathBase):
        return source.path + (f" (sha256 {source.sha256})" if source.sha256 else "")
    return "tasks made by the study's own programs"


# --- the card -------------------------------------------------------------------------------------


def card_markdown(
    system: str,
    settings: Settings,
    training: Training,
    systems: Systems,
    verdicts: Sequence[Verdict],
) -> str:
    """The whole card of a tuned model, as it stands in the repository."""
    parts = parts_of(settings.base_model, settings.sources, training)
    shown = {name: each for name, each in systems.items() if name in (ORIGINAL, *TUNED)}
    (other,) = (name for name in TUNED if name != system)
    versus = verdict_of(verdicts, system, ORIGINAL)
    sections = [
        f"# {text_cell(system)}",
        _what_it_is(parts, settings.labels),
        "## Did fine-tuning help",
        text_cell(
            f"{gain_sentence(system, systems, versus)} "
            f"Beside the other tuned model: {verdict_of(verdicts, system, other).sentence}."
        ),
        results_table(shown).markdown(),
        _how_measured(settings),
        "## What it lost",
        text_cell(f"{cost_clause(system, systems)}."),
        cost_table(shown).markdown(),
        "Bare label are answers to general instructions that are nothing but a label; nats a token is "
        "how unlikely it finds other answers to general instructions.",
        "## What it is made of",
        bullets([_told(part) for part in parts]),
        f"Its training rows are {text_cell(training.file)}, sha256 {training.sha256}.",
        "## Licence",
        _licence_text(parts),
        "## Use and limits",
        _use(settings),
        LOADING,
        _adapter_lines(f"models/{system}", '"models/base"'),
        *_in_four_bits(settings.precision),
        PROMPTS,
        _fenced(_prompt(settings.prompt_format)),
        "## How it was trained",
        _settings_table(settings, training).markdown(),
        "In a checkout of the study whose `params.yaml` says "
        f"`profile: {settings.profile}` and the seeds above, this trains it again:",
        _fenced(f"dvc repro train_{system.removesuffix('_fine_tuned')}", "sh"),
        "## Whom to cite",
        bullets([text_cell(cited) for cited in _cited(parts)] or ["The profile names nobody."]),
    ]
    return _joined(_metadata(system, parts, settings, systems), "\n\n".join(sections) + "\n")


def published(
    card: str, repo: str, base: BaseSource, precision: Precision, commit: str | None
) -> str:
    """The card of an adapter that lies in the repository `repo` of the Hub.

    `commit` is the study's, where it is known to be the one that made the adapter.
    """
    if isinstance(base, HubBase):
        lines = [_adapter_lines(repo, f'{json.dumps(base.id)}, revision="{base.revision}"')]
    else:
        lines = [
            "Its base lies in no repository of the Hub in just this form: load it in a checkout of the "
            "study, where `dvc repro base_model` puts the base into `models/base`.",
            _adapter_lines(repo, '"models/base"'),
        ]
    metadata, text = _split(card)
    text = _with_loading(text, [*lines, *_in_four_bits(precision)])
    if commit is not None:
        text = text.replace("```sh\n", f"```sh\ngit checkout {commit}\n", 1)
    return _joined(metadata, text)


def merged(card: str, place: str, told: str) -> str:
    """The card of a model into whose weights the adapter has been merged; `told` says how that went."""
    lines = _fenced(
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({json.dumps(place)})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(place)})",
        "python",
    )
    metadata, text = _split(card)
    metadata["library_name"] = "transformers"
    if "base_model" in metadata:
        metadata["base_model_relation"] = "finetune"
    title, rest = _with_loading(text, [lines]).split("\n\n", 1)
    return _joined(metadata, f"{title}\n\n{text_cell(told)}\n\n{rest}")


# --- its parts ------------------------------------------------------------------------------------


def _metadata(
    system: str, parts: Sequence[Part], settings: Settings, systems: Systems
) -> dict[str, Any]:
    base, labelled, *_ = parts
    found: dict[str, Any] = {}
    if hub_id(base.origin) is not None:
        found |= {"base_model": hub_id(base.origin), "base_model_relation": "adapter"}
    found |= {"library_name": "peft", "pipeline_tag": "text-generation"}
    licence = licence_of(parts)
    if licence is not None and (licence in PERMISSIVE or licence.startswith("cc-")):
        found["license"] = licence
    else:  # the Hub has a list of its own, and this word for what it lacks
        found |= {"license": "other", "license_name": licence or "several-see-below"}
    datasets = [hub_id(part.origin) for part in parts[1:]]
    found["datasets"] = list(dict.fromkeys(each for each in datasets if each is not None))
    if not found["datasets"]:
        del found["datasets"]
    method = "qlora" if settings.precision.quantization == "nf4" else "lora"
    found["tags"] = [method, "instruction-tuning", "text-classification"]
    dataset = hub_id(labelled.origin)
    if dataset is not None:  # results are filed there under a dataset of the Hub
        found["model-index"] = [_results(system, dataset, systems)]
    return found


def _results(system: str, dataset: str, systems: Systems) -> dict[str, Any]:
    labelled = systems[system].labelled
    return {
        "name": system,
        "results": [
            {
                "task": {"type": "text-classification", "name": "the most likely label"},
                "dataset": {
                    "type": dataset,
                    "name": f"{labelled.n} rows of its test split",
                    "split": "test",
                },
                "metrics": [
                    {
                        "type": metric,
                        "name": f"{metric}, with its interval "
                        f"{with_interval(getattr(labelled, metric))}",
                        "value": round(float(getattr(labelled, metric).value), 4),
                    }
                    for metric in METRICS
                ],
            }
        ],
    }


def _what_it_is(parts: Sequence[Part], labels: Labels) -> str:
    general = sum(part.rows or 0 for part in parts[2:])
    beside = f" and {general:,} general instructions" if general else " alone"
    names = ", ".join(map(text_cell, labels.names))
    return (
        f"A LoRA adapter of {text_cell(parts[0].name)}, fine-tuned on {parts[1].rows:,} labelled rows "
        f"({names}) written as instructions{beside}. Made with instruct-uplift, which measures what "
        "that helped and what it cost."
    )


def _how_measured(settings: Settings) -> str:
    labels = settings.labels
    averaged = (
        f"of the label {text_cell(labels.positive)}" if len(labels.names) == 2 else "macro averages"
    )
    return (
        f"Accuracy is that of the most likely label, F1, precision and recall are {averaged}, each "
        f"with its {settings.compare.confidence:.0%} interval over test rows. All this is about this "
        "trained model, not about the recipe: another training seed gives another model."
    )


def _told(part: Part) -> str:
    said = part.role
    if part.rows is not None:
        said += f", {part.rows:,} of them in training"
    said += f": {text_cell(part.name)}; {part.origin.licence or 'licence not stated'}"
    return said + (f"; <{part.origin.url}>" if part.origin.url is not None else "")


def _licence_text(parts: Sequence[Part]) -> str:
    licence = licence_of(parts)
    silent = any(part.origin.licence is None for part in parts)
    if licence is not None:
        stated = [part.origin.licence or "" for part in parts]
        (name, *_) = (each for each in stated if each.lower() == licence)
        ruling = f"{name}, as it follows from the parts above"
    elif silent:
        ruling = "Not known"
    else:
        ruling = "No single one: the parts above have several that ask for different things"
    return (
        f"{ruling}. Each part's own licence holds for it, and its notice is to be kept. "
        + (
            "For a part above no licence is stated: look it up before you publish. "
            if silent
            else ""
        )
        + "(A permissive licence yields to the one other; this is a rule of thumb, no legal advice.)"
    )


def _use(settings: Settings) -> str:
    names = ", ".join(map(text_cell, settings.labels.names))
    return bullets(
        [
            f"Meant for labelling texts like those it was trained on as one of {names}, and for studying "
            "what fine-tuning on instructions does.",
            "The figures hold for test rows drawn as the training rows were. Other texts and "
            "languages were not measured.",
            "What it answers to other instructions may be worse than what its base answers: see what it "
            "lost.",
            "It was not examined for bias or for harmful answers, and has those of its base and rows. "
            "Not for decisions about people.",
        ]
    )


def _in_four_bits(precision: Precision) -> list[str]:
    if precision.quantization != "nf4":
        return []
    return [
        "It was trained and measured over its base in 4 bits (NF4, double quantisation, computing in "
        f"{precision.dtype}). These lines load the base in full precision, over which it was not "
        "measured; give `from_pretrained` such a `quantization_config` for the very figures."
    ]


def _adapter_lines(place: str, base: str) -> str:
    """The lines that load an adapter, its base with it, and the base's tokenizer."""
    return _fenced(
        "from peft import AutoPeftModelForCausalLM\n"
        "from transformers import AutoTokenizer\n"
        f"model = AutoPeftModelForCausalLM.from_pretrained({json.dumps(place)})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({base})",
        "python",
    )


def _prompt(prompt_format: PromptFormat) -> str:
    if prompt_format == "chat":
        return "the tokenizer's chat template around one message of the user"
    return write_prompt(prompt_format, "INSTRUCTION", "TEXT").rstrip("\n")


def _settings_table(settings: Settings, training: Training) -> Table:
    account = {key: f"{training.account[key]:,}" for key in ("steps", "tokens", *SIZES)}
    account |= {key: f"{training.account[key]:.4f}" for key in ("train_loss", "validation_loss")}
    rows = {
        "profile": settings.profile,
        "seed": settings.seed,
        "training_seed": settings.training_seed,
        "prompt_format": settings.prompt_format,
        **{f"precision.{key}": value for key, value in settings.precision.model_dump().items()},
        **{f"train.{key}": value for key, value in settings.train.model_dump().items()},
        **account,
    }
    shown = [[key, "all" if value is None else str(value)] for key, value in rows.items()]
    return Table(("setting or figure", "value"), shown)


def _cited(parts: Sequence[Part]) -> list[str]:
    return list(dict.fromkeys(part.origin.cite for part in parts if part.origin.cite is not None))


def _fenced(text: str, language: str = "") -> str:
    return f"```{language}\n{text}\n```"


def _with_loading(text: str, parts: Sequence[str]) -> str:
    """A card's text that says otherwise how to load the model; its marks cannot come from data."""
    before, rest = text.split(f"{LOADING}\n\n")
    _, after = rest.split(f"\n\n{PROMPTS}")
    return "\n\n".join([before + LOADING, *parts, PROMPTS]) + after


def _split(card: str) -> tuple[dict[str, Any], str]:
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text.removeprefix("\n")


def _joined(metadata: Mapping[str, Any], text: str) -> str:
    written = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{written}---\n\n{text}"
