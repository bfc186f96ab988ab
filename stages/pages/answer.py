"""The answer to the study's question, in one paragraph."""

from measure.results import Ceilings, Results
from pages.numbers import percent
from pages.sentences import cost_clause, encoder_sentence, gain_sentence


def answer_text(results: Results, ceilings: Ceilings) -> str:
    """Whether fine-tuning helped, by how much, what it cost, and how people and other systems compare."""
    systems, accuracy = results.systems, results.accuracy
    tuned = [system.name for system in systems.tuned]
    sentences = [gain_sentence(name, results) for name in tuned]
    between_tuned = [
        verdict.sentence
        for verdict in results.verdicts
        if not verdict.rivals and systems.original.name != verdict.comparison.second
    ]
    if between_tuned:
        sentences.append(f"Between the tuned models: {'; '.join(between_tuned)}.")
    sentences.append("The cost: " + ". ".join(cost_clause(name, results) for name in tuned) + ".")
    best = max(tuned, key=accuracy)
    if ceilings.one_rater is not None:
        sentences.append(
            f"People: one human rater agrees with {percent(ceilings.one_rater.value)} of these labels, "
            f"{best} with {percent(accuracy(best))}."
        )
    free = [f"{system.name} {percent(accuracy(system.name))}" for system in systems.free]
    original = results.language_models.get(systems.original.name)
    if original is not None:
        free.append(f"the original with a moved threshold {percent(original.shifted.value)}")
    sentences.append("Without fine-tuning: " + ", ".join(free) + ".")
    against_all = [verdict.words for verdict in results.verdicts if verdict.rivals]
    if against_all:
        sentences.append(f"The verdict on these systems together: {'; '.join(against_all)}.")
    references = [
        f"{system.name} {percent(accuracy(system.name))}" for system in systems.of_kind("reference")
    ]
    if references:
        sentences.append("For reference: " + ", ".join(references) + ".")
    if encoder := encoder_sentence(results):
        sentences.append(encoder)
    return " ".join(sentences)
