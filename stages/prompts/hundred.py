"""A hundred further instructions, made by program from ten kinds and a hundred topics of their own.

Ten instructions are too few to rank models; of these the share that a model follows has an interval.
They are checked as the ten are, form always together with content, and their right answers are short.
The set is the same in every study. No kind is one of the programmed training tasks (`rows.tasks`).
"""

from collections.abc import Mapping
from typing import Any, Final

from prompts.checks import CheckedInstruction

Check = dict[str, Any]

_FREE: Final[list[Check]] = [  # of an answer in one's own words
    {"kind": "content:not_an_echo"},
    {"kind": "content:not_repetitive"},
]


def _exactly(kind: str, argument: str, count: int, relation: str = "exactly") -> Check:
    return {"kind": kind, argument: count, "relation": relation}


def _sentences(count: int) -> Check:
    return _exactly("length_constraints:number_sentences", "num_sentences", count)


def _words(fewest: int) -> Check:
    return _exactly("length_constraints:number_words", "num_words", fewest, "at least")


def _some(keywords: str, count: int) -> Check:
    return {"kind": "keywords:some_of", "keywords": keywords.split(), "num_keywords": count}


# --- three things of a kind, one a line -----------------------------------------------------------

_THINGS: Final = {
    "planets": "mercury venus earth mars jupiter saturn uranus neptune",
    "vegetables": "carrot* potato* onion* cabbage* pea|peas bean* spinach lettuce* tomato* leek* "
    "broccoli cauliflower* pepper* cucumber* radish* turnip* celery garlic kale beet* corn "
    "pumpkin* squash* zucchini courgette* asparagus aubergine* eggplant*",
    "musical instruments": "piano* violin* guitar* flute* drum* trumpet* cello* harp* clarinet* oboe* "
    "saxophone* trombone* tuba* viola* organ* banjo* ukulele* accordion* harmonica* bassoon* horn*",
    "pieces of clothing": "shirt* trousers|pants sock* hat* coat* dress* skirt* jacket* scarf|scarves "
    "glove* shoe* boot* sweater* jumper* jeans shorts belt* tie|ties blouse* cap|caps vest* hoodie*",
    "countries in Europe": "france germany italy spain portugal poland norway sweden finland denmark "
    "greece austria switzerland ireland iceland belgium netherlands hungary romania bulgaria croatia "
    "england|britain scotland wales ukraine estonia latvia lithuania slovakia slovenia serbia",
    "sports": "football|soccer tennis swimming basketball cricket rugby hockey golf baseball volleyball "
    "running cycling boxing skiing rowing handball badminton gymnastics judo athletics wrestling",
    "tools": "hammer* saw|saws screwdriver* wrench* pliers drill* chisel* spanner* axe* file|files rake* "
    "shovel* spade* level* tape* knife|knives ladder* clamp* plane|planes",
    "drinks": "water tea coffee milk juice* lemonade cola|soda beer* wine* cocoa cider* smoothie*",
    "months": "january february march april may june july august september october november december",
    "parts of the body": "hand* foot|feet head* arm* leg* eye* ear* nose mouth knee* elbow* shoulder* "
    "finger* toe* neck back chest stomach heart* hair chin* hip* ankle* wrist*",
}


def _name_three(topic: str, keywords: str) -> Mapping[str, Any]:
    golds = [word.split("|")[0].removesuffix("*") for word in keywords.split()[:3]]
    return {
        "instruction": f"Name exactly three {topic}. Put each on a line of its own, after a hyphen and a "
        "space, and write nothing else.",
        "checks": [
            {"kind": "detectable_format:number_bullet_lists", "num_bullets": 3},
            _some(keywords, 3),
        ],
        "gold": "\n".join(f"- {word}" for word in golds),
    }


# --- a sentence with two given words --------------------------------------------------------------

_PAIRS: Final = {
    "baker and clock": "The baker looked at the clock and took the bread out.",
    "letter and bridge": "She lost the letter while she was crossing the bridge.",
    "teacher and bicycle": "Our teacher rides a red bicycle to school each day.",
    "garden and key": "He found the old key under a stone in the garden.",
    "moon and fisherman": "By the light of the moon the fisherman mended his net.",
    "doctor and umbrella": "The doctor left her umbrella on the train this morning.",
    "window and piano": "Through the open window we could hear a piano.",
    "farmer and map": "A farmer drew us a map of the hidden valley.",
    "soup and library": "Nobody is allowed to eat soup inside the library.",
    "ladder and painter": "The painter climbed the ladder to reach the ceiling.",
}


def _two_words(topic: str, gold: str) -> Mapping[str, Any]:
    first, second = topic.split(" and ")
    return {
        "instruction": f'Write one sentence in which both the word "{first}" and the word "{second}" '
        "are used.",
        "checks": [
            {"kind": "keywords:existence", "keywords": [first, second]},
            _sentences(1),
            _words(6),
            *_FREE,
        ],
        "gold": gold,
    }


# --- two questions --------------------------------------------------------------------------------

_ASKED: Final = {
    "volcanoes": "volcano* erupt* lava magma",
    "chess": "chess king* queen* pawn* board* checkmate",
    "bread": "bread* flour dough bak* loaf|loaves yeast",
    "the Olympic Games": "olympic* medal* athlete* games sport*",
    "trains": "train* rail* station* track* locomotive*",
    "photography": "photograph* photo* camera* lens* picture*",
    "deserts": "desert* sand* camel* dune* dry",
    "money": "money coin* bank* pay* currency|currencies cash spend*",
    "dreams": "dream* sleep* night* asleep",
    "bridges": "bridge* river* span* cross*",
}


def _two_questions(topic: str, keywords: str) -> Mapping[str, Any]:
    return {
        "instruction": f"Think of two different questions that a child might ask about {topic}, and "
        "write them down.",
        "checks": [
            _exactly("detectable_content:number_questions", "num_questions", 2),
            _some(keywords, 1),
            *_FREE,
        ],
        "gold": f"Who first told people about {topic}? Why do grown-ups care so much?",
    }


# --- facts as JSON --------------------------------------------------------------------------------

_FACTS: Final = {
    "bakery": ("Ines Calder opened a bakery in Porto in 1987.", "town", "Porto", "year", 1987),
    "bridge": ("The bridge at Tarn was finished in 1931.", "town", "Tarn", "year", 1931),
    "runner": ("Samuel Okoro won the race in 42 minutes.", "winner", "Samuel Okoro", "minutes", 42),
    "parcel": ("A parcel of 12 kilograms went to Oslo.", "town", "Oslo", "kilograms", 12),
    "painting": (
        *("The painting by Rosa Venn was sold for 900 dollars.", "painter", "Rosa Venn"),
        *("dollars", 900),
    ),
    "school": ("Hilltop School has 310 pupils.", "school", "Hilltop School", "pupils", 310),
    "ship": ("The ship Aurora carries 64 cars.", "ship", "Aurora", "cars", 64),
    "tower": ("The tower of Belden is 75 metres high.", "town", "Belden", "metres", 75),
    "concert": (
        "For 25 euros you can hear Lena Brandt sing.",
        "singer",
        "Lena Brandt",
        "euros",
        25,
    ),
    "train": ("The train to Graz leaves from platform 8.", "town", "Graz", "platform", 8),
}


def _json_facts(topic: str, facts: tuple[str, str, str, str, int]) -> Mapping[str, Any]:
    text, first, name, second, number = facts
    return {
        "instruction": f'Read the text and write a JSON object with the keys "{first}" and "{second}" '
        "that holds what it says, and nothing besides.",
        "input": text,
        "checks": [
            {"kind": "detectable_format:json_format"},
            {"kind": "detectable_content:json_fields", "fields": {first: name, second: number}},
        ],
        "gold": f'{{"{first}": "{name}", "{second}": {number}}}',
    }


# --- the same words in quotation marks ------------------------------------------------------------

_QUOTED: Final = {
    "key": "The key to the cellar hangs behind the door.",
    "guests": "Our guests will stay until the end of the month.",
    "shop": "The shop on the corner sells stamps and newspapers.",
    "river": "In spring the river rises above the lower path.",
    "meeting": "Please bring two copies of the plan to the meeting.",
    "lamp": "Somebody has moved the lamp from the hall to the study.",
    "bread": "There is fresh bread on the table in the kitchen.",
    "ticket": "Every ticket is valid for one journey only.",
    "neighbour": "Our neighbour waters the plants when we are away.",
    "window": "Do not forget to close the window before you leave.",
}


def _in_quotes(topic: str, text: str) -> Mapping[str, Any]:
    return {
        "instruction": "Put the whole text between double quotation marks. Leave its words as they are "
        "and add none.",
        "input": text,
        "checks": [{"kind": "startend:quotation"}, {"kind": "content:same_words_as_input"}],
        "gold": f'"{text}"',
    }


# --- without a word -------------------------------------------------------------------------------

_AVOIDED: Final = {
    "snow": (
        *("cold", "white flake* winter* frozen ice|icy crystal* fall* sky cloud* melt*"),
        "White flakes of frozen water that fall softly from winter clouds.",
    ),
    "the sea": (
        *("water", "salt* wave* blue deep fish* ship* coast* shore* beach* ocean* tide*"),
        "A vast, salty blue plain of waves, full of fish and ships.",
    ),
    "a mirror": (
        *("glass", "reflect* face* image* see look* surface* wall*"),
        "A shiny surface on a wall that reflects your face when you look.",
    ),
    "a library": (
        *("books", "read* borrow* shelf|shelves quiet* story|stories novel* lend* building* study"),
        "A quiet building with long shelves, where you borrow stories to read.",
    ),
    "fire": (
        *("hot", "flame* burn* smoke* wood heat* light* red orange warm*"),
        "Bright orange flames that burn wood, with smoke rising above them.",
    ),
    "a clock": (
        *("time", "hour* minute* hand* tick* number* wall* face|dial alarm*"),
        "A round dial with two hands that tick through the hours and minutes.",
    ),
    "a forest": (
        *("trees", "wood* leaf|leaves green path* animal* bird* shade* plant* trunk* dark"),
        "A dark green place of trunks and leaves, where birds and animals hide.",
    ),
    "a kitchen": (
        *(
            "food",
            "cook* stove|oven meal* room* sink* pan|pans|pot|pots eat* table* fridge* knife|knives",
        ),
        "The room with stove and sink where a family cooks its meals.",
    ),
    "money": (
        *("buy", "coin* note* pay* bank* price* cash wallet* spend* earn* metal paper"),
        "Coins and paper notes that you earn, keep in a wallet and spend.",
    ),
    "sleep": (
        *("night", "rest* bed* eye* dream* body tired close* pillow* wake*"),
        "A rest of body and mind with closed eyes, often full of dreams.",
    ),
}


def _without(topic: str, told: tuple[str, str, str]) -> Mapping[str, Any]:
    word, keywords, gold = told
    return {
        "instruction": f'Describe {topic} in a sentence, but do not use the word "{word}".',
        "checks": [
            {"kind": "keywords:forbidden_words", "forbidden_words": [word]},
            _some(keywords, 2),
            _sentences(1),
            _words(6),
            *_FREE,
        ],
        "gold": gold,
    }


# --- which of two, and why ------------------------------------------------------------------------

_CHOICES: Final = {
    "a whale": (
        *("mammal", "fish", "milk breath* air lung* warm* young|calf|calves birth"),
        "Mammal, because it breathes air and feeds its young with milk.",
    ),
    "a carrot": (
        *("vegetable", "fruit", "root* ground underground soil sweet plant seed* savoury"),
        "Vegetable, because it is the root of a plant.",
    ),
    "a violin": (
        *("string", "wind", "bow string* pluck* four"),
        "String, because it is played with a bow on four strings.",
    ),
    "ice": (
        *("solid", "liquid", "frozen freez* hard shape* cold melt*"),
        "Solid, because it is frozen and keeps its shape.",
    ),
    "Saturn": (
        *("planet", "star", "sun orbit* ring* light"),
        "Planet, because it moves around the sun and has rings.",
    ),
    "a bat": (
        *("mammal", "bird", "fur* milk feather* young|pups birth wing*"),
        "Mammal, because it has fur and gives its young milk.",
    ),
    "oxygen": (
        *("gas", "metal", "air breath* invisible atmosphere"),
        "Gas, because it is a part of the air that we breathe.",
    ),
    "a tulip": (
        *("flower", "tree", "petal* stem* bloom* blossom* small bulb* garden* colo*"),
        "Flower, because it has petals and grows from a bulb.",
    ),
    "Brazil": (
        *(
            "country",
            "city",
            "capital* land nation* government border* president* state* large south",
        ),
        "Country, because it has a capital and borders of its own.",
    ),
    "a hammer": (
        *("tool", "toy", "nail* work* build* hit* wood*"),
        "Tool, because you drive nails into wood with it.",
    ),
}


def _which(topic: str, told: tuple[str, str, str, str]) -> Mapping[str, Any]:
    right, wrong, reasons, gold = told
    options = " or ".join(sorted((right, wrong)))
    return {
        "instruction": f"Which fits {topic}: {options}? Start with that one word, then give your reason "
        "in the same sentence.",
        "checks": [
            {"kind": "startend:first_word", "words": [right]},
            _some(reasons, 1),
            _words(5),
            *_FREE,
        ],
        "gold": gold,
    }


# --- what it is for, in two sentences -------------------------------------------------------------

_PURPOSES: Final = {
    "a compass": (
        "north direction* way needle* point* travel* lost hik* sail*",
        "Its needle points north. Travellers find their way with it.",
    ),
    "soap": (
        "wash* clean* dirt* hand* germ* skin bath*",
        "People wash with it. It takes dirt and germs off the skin.",
    ),
    "a tent": (
        "camp* sleep* outdoor* shelter* night* weather hik*",
        "Campers sleep in it. It shelters them from wind and weather.",
    ),
    "a dictionary": (
        "word* mean* spell* language* look* definition*",
        "It tells you what words mean. You also see how to spell them.",
    ),
    "a fridge": (
        "cold cool* food fresh* milk keep* store*",
        "It keeps food cold. So milk and meat stay fresh for days.",
    ),
    "a helmet": (
        "head* protect* safe* fall* injur* crash* cycl* bike*",
        "It protects your head. After a fall you are not badly injured.",
    ),
    "a telescope": (
        "star* planet* far distant sky moon see look* space",
        "It makes distant things look near. With it we see stars and planets.",
    ),
    "a zip": (
        "open* close* jacket* bag* trousers fasten* cloth*",
        "It fastens a jacket or a bag. You can open and close it quickly.",
    ),
    "a lighthouse": (
        "ship* light* coast* rock* sail* night* sea warn* shore*",
        "It warns ships of rocks. Sailors see its light from far away at night.",
    ),
    "a recipe": (
        "cook* bak* dish* meal* ingredient* step* food",
        "It tells a cook which ingredients to take. It also lists the steps.",
    ),
}


def _purpose(topic: str, told: tuple[str, str]) -> Mapping[str, Any]:
    keywords, gold = told
    return {
        "instruction": f"In exactly two sentences, say what {topic} is for.",
        "checks": [_sentences(2), _some(keywords, 2), *_FREE],
        "gold": gold,
    }


# --- three lines ----------------------------------------------------------------------------------

_SCENES: Final = {
    "a harbour in the morning": (
        "boat* ship* sea gull* fish* water wave* sun* dawn mist* light",
        "The boats lie still\nA gull calls over the water\nMist lifts from the sea",
    ),
    "a market": (
        "stall* fruit* people crowd* sell* buy* vegetable* colo* basket* noise shout*",
        "Stalls of bright fruit\nPeople with full baskets\nSomeone shouts a price",
    ),
    "an old house": (
        "door* wall* window* roof* stair* dust* creak* room* stone* floor* year*",
        "The door hangs crooked\nDust lies on the stairs\nEvery window is dark",
    ),
    "the first day of school": (
        "teacher* bag* child|children friend* classroom* bell* book* desk* pencil* nervous new",
        "A new bag on the back\nThe bell rings at eight\nA teacher waves us in",
    ),
    "a storm": (
        "thunder* lightning wind* rain* cloud* sky dark* roof* roar* tree*",
        "Dark clouds pile up\nThunder shakes the roof\nThen rain and wild wind",
    ),
    "a night train": (
        "rail* window* light* sleep* station* wheel* dark* passenger* track* town*",
        "Wheels hum on the track\nTowns flash past the window\nPassengers sleep",
    ),
    "autumn in a park": (
        "leaf|leaves tree* wind* bench* fall* red yellow|golden path* brown cold",
        "Red leaves on the path\nAn empty bench\nThe wind shakes the trees",
    ),
    "a grandmother": (
        "hair* hand* story|stories bak* smile* love* old kind* chair* knit* wrinkle* cake*",
        "She smiles in her chair\nHer hands smell of cake\nShe tells us old stories",
    ),
    "a mountain": (
        "snow* peak* rock* climb* high cloud* sky valley* stone* summit* path*",
        "Snow lies on the peak\nA path climbs through the rocks\nClouds drift below",
    ),
    "a concert": (
        "music* song* sing* stage* crowd* band* clap* sound* light* violin* drum* guitar*",
        "The stage grows dark\nA drum begins the song\nThe crowd claps and sings",
    ),
}


def _three_lines(topic: str, told: tuple[str, str]) -> Mapping[str, Any]:
    keywords, gold = told
    return {
        "instruction": f"Write three short lines, no more and no fewer, that paint a picture of {topic}.",
        "checks": [
            _exactly("length_constraints:number_lines", "num_lines", 3),
            _words(9),
            _some(keywords, 2),
            *_FREE,
        ],
        "gold": gold,
    }


# --- a given first word ---------------------------------------------------------------------------

_BEGUN: Final = {
    "tomorrow, about a journey": (
        "travel* train* go|going drive|driving fly|flying leave|leaving journey* trip* visit* sail*",
        "Tomorrow we shall take the early train and visit my aunt.",
    ),
    "because, about being late": (
        "late bus train* miss* clock* alarm* wait* hour* minute* traffic",
        "Because my alarm did not ring, I missed the bus.",
    ),
    "nobody, about a secret": (
        "secret* know|knows|knew tell|told hid* keep|kept find|found",
        "Nobody in the village knew what she kept in the chest.",
    ),
    "sometimes, about the weather": (
        "rain* sun* wind* cloud* storm* snow* weather cold warm hot",
        "Sometimes the sun shines while it is raining.",
    ),
    "under, about something lost": (
        "lost find|found look* search* lay|lies|hid* missing",
        "Under the sofa lay the ring that we had lost.",
    ),
    "never, about a promise": (
        "promise* word swear|swore|sworn vow* break|broke|broken trust* keep|kept",
        "Never before had he broken a promise to his sister.",
    ),
    "before, about breakfast": (
        "breakfast eat|eats|ate bread coffee tea egg* milk table morning porridge toast",
        "Before anyone was awake, she ate an egg and some toast.",
    ),
    "every, about a musician": (
        "play* music* song* sing* piano violin guitar practis*|practic* concert* tune*",
        "Every evening the old man plays his violin by the river.",
    ),
    "perhaps, about the future": (
        "will|would year* future tomorrow someday become live|living",
        "Perhaps people will live on the moon in a hundred years.",
    ),
    "although, about a game": (
        "game* play* win|won lose|lost match* team* score* ball goal*",
        "Although our team played well, we lost the match.",
    ),
}


def _begin_with(topic: str, told: tuple[str, str]) -> Mapping[str, Any]:
    word, about = topic.split(", about ")
    keywords, gold = told
    return {
        "instruction": f'Write one sentence about {about}. Let "{word.capitalize()}" be its first word.',
        "checks": [
            {"kind": "startend:first_word", "words": [word]},
            _some(keywords, 1),
            _sentences(1),
            _words(6),
            *_FREE,
        ],
        "gold": gold,
    }


_KINDS: Final[Mapping[str, tuple[Any, Mapping[str, Any]]]] = {
    "three-things": (_name_three, _THINGS),
    "two-words": (_two_words, _PAIRS),
    "two-questions": (_two_questions, _ASKED),
    "json-facts": (_json_facts, _FACTS),
    "in-quotes": (_in_quotes, _QUOTED),
    "without": (_without, _AVOIDED),
    "which": (_which, _CHOICES),
    "purpose": (_purpose, _PURPOSES),
    "three-lines": (_three_lines, _SCENES),
    "begin-with": (_begin_with, _BEGUN),
}


def hundred_instructions() -> list[CheckedInstruction]:
    """The hundred, kind after kind, ids `kind-topic`: the same in every study."""
    return [
        CheckedInstruction(
            id=f"{kind}-{topic.lower().replace(',', '').replace(' ', '-')}",
            **{"input": "", **make(topic, told)},
        )
        for kind, (make, topics) in _KINDS.items()
        for topic, told in topics.items()
    ]
