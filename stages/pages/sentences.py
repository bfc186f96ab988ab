"""The sentences on a trained system that are both in the report and on the system's card."""

from measure.results import COMMONEST, Results
from measure.system_metrics import Answering
from pages.numbers import decimals, percent
from stats.verdicts import points

ENCODER_LIMITS = "An encoder answers no other instruction, and a new label needs a new training."


def gain_sentence(name: str, results: Results) -> str:
    """Whether fine-tuning helped, with the accuracy of always answering the commonest label.

    "Helped" needs more than a gain: a system that is no better than always answering the commonest
    label has learned nothing from the texts.
    """
    original = results.systems.original.name
    verdict = results.verdict(name, original)
    comparison, commonest = verdict.comparison, results.against_commonest(name)
    gain = verdict.gain
    if verdict.kind == "better" and not beats_commonest(name, results):
        gain = (
            f"The accuracy of {name} rose with fine-tuning, but {name} is not shown to be better than "
            "always answering the commonest label"
        )
    assert comparison.low is not None
    assert comparison.high is not None
    sentence = (
        f"{gain}. {name} is right on {percent(results.accuracy(name))} of {comparison.n:,} test rows "
        f"(macro-F1 {_macro_f1(name, results)}), {original} on {percent(results.accuracy(original))} "
        f"(macro-F1 {_macro_f1(original, results)}): a difference of {points(comparison.difference)} "
        f"points [{points(comparison.low)}, {points(comparison.high)}]."
    )
    if commonest is not None:
        sentence += (
            f" Always answering the commonest label is right on {percent(results.accuracy(COMMONEST))} "
            f"(macro-F1 {_macro_f1(COMMONEST, results)})."
        )
    return sentence


def beats_commonest(name: str, results: Results) -> bool:
    """Whether a system is shown to be better than always answering the commonest label.

    By McNemar's exact test, not adjusted. True if that baseline has no predictions.
    """
    comparison = results.against_commonest(name)
    if comparison is None:
        return True
    return comparison.difference > 0 and comparison.p < 1 - results.confidence


def cost_clause(name: str, results: Results) -> str:
    """What fine-tuning cost a tuned system on general instructions, without the final full stop.

    Bare labels come first: a model that answers everything with a label must not look improved.
    """
    tuned, original = (
        results.language_models[system] for system in (name, results.systems.original.name)
    )
    clause = (
        f"{name} answers {percent(tuned.bare_label.value)} of the general instructions with nothing but "
        f"a label (the original {percent(original.bare_label.value)}). {name} follows "
        f"{_n_followed(tuned)} of {tuned.n_hundred} further instructions (the original "
        f"{_n_followed(original)})"
    )
    if tuned.forgotten is not None:
        change = tuned.forgotten.value
        likely = "less" if change > 0 else "more"
        clause += (
            f". {name} finds the reference answers to general instructions {likely} likely by "
            f"{abs(change):.2f} nats a token"
        )
    return clause


def encoder_sentence(results: Results) -> str:
    """Whether the encoder is as good as the best tuned language model, and both models' sizes.

    By McNemar's exact test, not adjusted. "As good as": the test is not significant, and by the interval
    the language model is not better by more than the margin. Empty if no encoder is declared.
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
        verdict = "not clearly different from"
    return (
        f"{encoder.name}, {encoder.title}, is {verdict} the best tuned language model. {encoder.name} is "
        f"right on {percent(results.accuracy(encoder.name))}, {best} on "
        f"{percent(results.accuracy(best))}: a difference of {points(comparison.difference)} points "
        f"[{points(comparison.low)}, {points(comparison.high)}] (exploratory, not adjusted). "
        f"{encoder.name} has "
        f"{_parameters(encoder.name, results)}; {best} has {_parameters(best, results)}. {ENCODER_LIMITS}"
    )


def _parameters(name: str, results: Results) -> str:
    account = results.accounts[name]
    total, trained = (account[key] / 1e6 for key in ("total_parameters", "trainable_parameters"))
    return f"{total:,.1f}M parameters, {trained:,.1f}M of them trained"


def _n_followed(answering: Answering) -> int:
    return round(answering.n_hundred * answering.hundred.value)


def _macro_f1(name: str, results: Results) -> str:
    return decimals(results.metrics[name].labelled.metrics["macro_f1"].value)
