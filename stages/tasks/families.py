"""The families of tasks: each is one kind of question with exactly one right answer.

Training and evaluation use the families with `held_out` false. Only evaluation uses the others.
"""

import json
from string import ascii_lowercase

from tasks.drawing import Family
from tasks.questions import (
    about_numbers,
    about_words,
    add_numbers,
    find_word,
    has_animal,
    sort_words,
)
from tasks.words import ANIMALS, COLOURS, WORDS

FAMILIES: tuple[Family, ...] = (
    Family(
        "copy",
        (
            "Copy this text exactly as it is.",
            "Write the text again without changing anything.",
            "Give back the same words in the same order.",
            "Copy the following words: {input}",
            "Say exactly this and nothing more: {input}",
        ),
        about_words(" ".join, 2, 4),
    ),
    Family(
        "first_word",
        (
            "Write only the first word of the text.",
            "What is the first word here? Answer with that word alone.",
            "Give the one word that the text begins with.",
            "Which word comes first in this text? Reply with one word.",
            "Find the first word of this line and write only that word: {input}",
        ),
        about_words(lambda words: words[0], 2, 4),
    ),
    Family(
        "second_word",
        (
            "Write only the second word of the text.",
            "What is the second word here? Answer with that word alone.",
            "Give the one word that comes right after the first word.",
            "Which word is number two in this text? Reply with one word.",
            "Find the second word of this line and write only that word: {input}",
        ),
        about_words(lambda words: words[1], 2, 4),
        held_out=True,
    ),
    Family(
        "last_word",
        (
            "Write only the last word of the text.",
            "What is the last word here? Answer with that word alone.",
            "Give the one word that the text ends with.",
            "Which word comes last in this text? Reply with one word.",
            "Find the final word of this line and write only that word: {input}",
        ),
        about_words(lambda words: words[-1], 2, 4),
    ),
    Family(
        "repeat",
        (
            "Write this text twice, with a space in between.",
            "Say the whole text two times on one line, with only a space between.",
            "Write the text and then write it again on the same line.",
            "Give the text two times in a row, separated by a space.",
            "Write these words as a whole twice in a row on one line: {input}",
        ),
        about_words(lambda words: " ".join(words * 2), 2, 2),
    ),
    Family(
        "upper_case",
        (
            "Write this in capital letters.",
            "Change the text to upper case.",
            "Turn every letter into a capital letter.",
            "Put these words in all caps.",
            "Write these words in upper case: {input}",
        ),
        about_words(lambda words: " ".join(words).upper(), 2, 2),
    ),
    Family(
        "lower_case",
        (
            "Write this in small letters.",
            "Change the text to lower case.",
            "Turn every capital letter into a small letter.",
            "Put these words in lower case, with no capitals.",
            "Write these words in lower case: {input}",
        ),
        about_words(
            lambda words: " ".join(words).lower(), 2, 2, pool=[word.upper() for word in WORDS]
        ),
        held_out=True,
    ),
    Family(
        "reverse_words",
        (
            "Reverse the order of the words.",
            "Write these words in the opposite order, with the last word first.",
            "List the words from last to first on one line, separated by spaces.",
            "Turn the order of the words around, but leave each word as it is.",
            "Write these words starting from the last one and ending with the first: {input}",
        ),
        about_words(lambda words: " ".join(reversed(words)), 3, 3),
        held_out=True,
    ),
    Family(
        "sort_words",
        (
            "Sort these words in alphabetical order, on one line.",
            "Put the words into alphabetical order, with spaces between them.",
            "Arrange the words from A to Z on one line.",
            "Order the words as a dictionary would, separated by spaces.",
            "Write these words in alphabetical order, separated by spaces: {input}",
        ),
        sort_words,
        held_out=True,
    ),
    Family(
        "join_words",
        (
            "Join the words with hyphens, leaving no spaces.",
            "Replace every space with a hyphen.",
            "Put a hyphen (-) between the words instead of each space.",
            "Make one long word out of these by linking them with hyphens.",
            "Link these words with hyphens and no spaces: {input}",
        ),
        about_words("-".join, 2, 3),
    ),
    Family(
        "json_list",
        (
            'Write the items as a JSON list such as ["a", "b"].',
            'Turn this list into a JSON array of strings, in the form ["x", "y"].',
            'Format the items as a JSON list, like ["one", "two"].',
            "Give the items as a JSON array of strings on one line, with a space after each comma.",
            'Make a JSON list, in the style of ["a", "b"], from these items: {input}',
        ),
        about_words(json.dumps, 2, 3, gap=", "),
    ),
    Family(
        "bullet_lines",
        (
            'Turn the list into bullet points, one per line, each starting with "- ".',
            "Write each item on its own line, after a hyphen and a space.",
            'Make a bulleted list of the items, with "- " as the bullet.',
            'Put every item on a new line that begins with "- ".',
            'Write these items as separate lines that start with "- ": {input}',
        ),
        about_words(lambda words: "\n".join(f"- {word}" for word in words), 2, 3, gap=", "),
    ),
    Family(
        "count_words",
        (
            "Count the words and answer with a digit.",
            "How many words are there? Give only the number, in digits.",
            "Write the number of words in the text as a digit.",
            "Tell me how many words this is. Reply with one digit.",
            "How many words are in this line? Answer with a digit: {input}",
        ),
        about_words(lambda words: str(len(words)), 2, 5),
    ),
    Family(
        "count_letters",
        (
            "Count the letters and answer with a digit.",
            "How many letters are there? Give only the number, in digits.",
            "Write the number of letters in this row as a digit.",
            "Tell me how many letters you see. Reply with one digit.",
            "How many letters are in this row? Answer with a digit: {input}",
        ),
        about_words(lambda letters: str(len(letters)), 3, 6, pool=ascii_lowercase),
        held_out=True,
    ),
    Family(
        "larger_number",
        (
            "Which of the two numbers is larger? Answer with that number alone.",
            "Write only the bigger number.",
            "Choose the greater of these two numbers and write it.",
            "Compare the numbers and give the higher one.",
            "Reply with the larger of {input}.",
        ),
        about_numbers(max),
    ),
    Family(
        "smaller_number",
        (
            "Which of the two numbers is smaller? Answer with that number alone.",
            "Write only the lesser number.",
            "Choose the smaller of these two numbers and write it.",
            "Compare the numbers and give the lower one.",
            "Reply with the smaller of {input}.",
        ),
        about_numbers(min),
        held_out=True,
    ),
    Family(
        "add",
        (
            "Work out the sum and write only the result.",
            "What does this add up to? Give only the number.",
            "Add the two numbers and write the total in digits.",
            "Calculate this. Answer with the number alone.",
            "What is {input}? Reply with a number.",
        ),
        add_numbers,
    ),
    Family(
        "find_animal",
        (
            "Which of these words is an animal? Answer with that word.",
            "Find the animal in the list and write only its name.",
            "One of the words names an animal. Write that word.",
            "Pick out the animal. Reply with one word.",
            "Name the animal among these words: {input}",
        ),
        find_word(ANIMALS),
    ),
    Family(
        "find_colour",
        (
            "Which of these words is a colour? Answer with that word.",
            "Find the colour in the list and write only its name.",
            "One of the words names a colour. Write that word.",
            "Pick out the colour. Reply with one word.",
            "Name the colour among these words: {input}",
        ),
        find_word(COLOURS),
        held_out=True,
    ),
    Family(
        "has_animal",
        (
            'Is there an animal in this list? Answer "yes" or "no".',
            'Does any of these words name an animal? Write "yes" or "no".',
            'Check the list for an animal. Reply "yes" if there is one, otherwise "no".',
            'Write "yes" if one of the words is an animal and "no" if none is.',
            'Answer "yes" or "no": is there an animal among these words? {input}',
        ),
        has_animal,
    ),
)
