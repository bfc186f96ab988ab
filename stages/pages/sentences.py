"""The sentences on a tuned system that the report and its card share."""

from measure.results import COMMONEST, Results
from measure.system_metrics import Answering
from pages.numbers import decimals, percent
from stats.verdicts import points

ENCODER_LIMITS = "An encoder answers no other instruction, and a new label needs a new training."


def gain_sentence(name: str, results: Results) -> str:
    """Whether fine-tuning helped, beside the baseline that always answers the commonest label.

    A system that gains accuracy without beating that baseline has learned nothing from the texts.
    """
    original = results.systems.original.name
    verdict = results.verdict(name, original)
    found, commonest = verdict.comparison, results.against_commonest(name)
    gain = verdict.gain
    if verdict.kind == "better" and not beats_commonest(name, results):
        gain = (
            f"The accuracy of {name} rose with fine-tuning, but {name} is not shown to be better than "
            "always answering the commonest label"
        )
    assert found.low is not None
    assert found.high is not None
    sentence = (
        f"{gain}: it is right on {percent(results.accuracy(name))} of {found.n:,} test rows (macro-F1 "
        f"{_macro_f1(name, results)}), {original} on {percent(results.accuracy(original))} (macro-F1 "
        f"{_macro_f1(original, results)}), a difference of {points(found.difference)} points "
        f"[{points(found.low)}, {points(found.high)}]"
    )
    if commonest is not None:
        sentence += (
            f"; the commonest label alone is right on {percent(results.accuracy(COMMONEST))} "
            f"(macro-F1 {_macro_f1(COMMONEST, results)})"
        )
    return f"{sentence}."


def beats_commonest(name: str, results: Results) -> bool:
    """Whether a system is shown to be better than always answering the commonest label.

    By the exact McNemar test, not adjusted. True where that baseline has no predictions.
    """
    found = results.against_commonest(name)
    return found is None or (found.difference > 0 and found.p < 1 - results.confidence)


def cost_clause(name: str, results: Results) -> str:
    """Bare labels first: a model that has collapsed to its labels must never look improved."""
    tuned, original = (
        results.language_models[system] for system in (name, results.systems.original.name)
    )
    clause = (
        f"{name} answers {percent(tuned.bare_label.value)} of the general instructions with nothing but "
        f"a label (the original {percent(original.bare_label.value)}), follows {_followed(tuned)} of "
        f"{tuned.n_hundred} further ones ({_followed(original)})"
    )
    if tuned.forgotten is not None:
        change = tuned.forgotten.value
        likely = "less" if change > 0 else "more"
        clause += (
            f" and finds the general rows' own answers {likely} likely by {abs(change):.2f} nats "
            "a token"
        )
    return clause


def encoder_sentence(results: Results) -> str:
    """Whether the encoder is as good as the best tuned language model, and what it costs; not adjusted.

    As good: the interval excludes that the language model is better by more than the margin. Empty
    without an encoder.
    """
    encoders = results.systems.of_kind("encoder")
    if not encoders:
        return ""
    (encoder,) = encoders
    best = max((system.name for system in results.systems.tuned), key=results.accuracy)
    comparison = results.comparison(encoder.name, best)
    assert comparison.low is not None
    assert comparison.high is not None
    if comparison.p < 1 - results.confidence:
        verdict = "better than" if comparison.difference > 0 else "not as good as"
    elif comparison.low >= -results.margin:
        verdict = "as good as"
    else:
        verdict = "not told apart from"
    return (
        f"{encoder.name}, {encoder.title}, is {verdict} the best tuned language model: right on "
        f"{percent(results.accuracy(encoder.name))}, {best} on {percent(results.accuracy(best))}, a "
        f"difference of {points(comparison.difference)} points [{points(comparison.low)}, "
        f"{points(comparison.high)}] (exploratory, not adjusted). It has "
        f"{_parameters(encoder.name, results)}; {best} has {_parameters(best, results)}. {ENCODER_LIMITS}"
    )


def _parameters(name: str, results: Results) -> str:
    account = results.accounts[name]
    total, trained = (account[key] / 1e6 for key in ("total_parameters", "trainable_parameters"))
    return f"{total:,.1f}M parameters, {trained:,.1f}M of them trained"


def _followed(answering: Answering) -> int:
    return round(answering.n_hundred * answering.hundred.value)


def _macro_f1(name: str, results: Results) -> str:
    return decimals(results.metrics[name].labelled.metrics["macro_f1"].value)
