"""The words that tasks contain: common English words in lower case, no word in two lists.

No word in WORDS is an animal, a person or a colour, so that "find the animal" and "find the colour"
have exactly one right answer.
"""

_WORDS = """
    anchor apple apron arrow attic axe bag bakery ball balloon bank barn basin basket bath beach
    bed bell belt bench bicycle blanket boat book boot bottle bowl box bread brick bridge broom
    brush bucket bus button cabin cable cake camera camp candle canoe card carpet cart castle cave
    ceiling chain chair cheese church circle city clock cloth cloud coat coin comb corner cottage
    crown cup curtain desk dinner dish door drawer dream dress dust engine envelope evening farm
    feather fence field fire flag flame floor flour flower flute fog forest fork fountain frame
    garden gate gift glass glove grass guitar hall hammer harvest hat helmet hill hook hotel hour
    house island jacket jam jar jewel journey jug kettle key kitchen knife ladder lake lamp lantern
    lawn leaf letter library light lock map market mask meadow medal melody milk mirror money month
    moon morning mountain mud museum music nail napkin needle nest net night notebook novel oak
    ocean office oven page palace pan paper park path pencil pepper piano picture pillow pipe plate
    pocket pond porch pot potato puzzle quilt radio raft rain ribbon rice ring river road rock roof
    room rope sail salt scarf school season shelf ship shirt shoe shop shovel sky snow soap sock
    song soup spoon square stable stamp star station stone storm stove street sugar suitcase summer
    sun table tent thread ticket tile toast tower town toy train tray tree truck tunnel umbrella
    valley vase village violin wagon wall wallet water wheel whistle wind window winter wire wood
    wool yard zipper
"""

_ANIMALS = """
    bear camel cat chicken cow deer dog dolphin donkey duck eagle elephant fox frog giraffe goat
    goose hamster hawk horse kangaroo kitten leopard lion lizard monkey mouse otter owl panda
    parrot penguin pig pigeon pony puppy rabbit rat shark sheep snake spider squirrel swan tiger
    tortoise turtle whale wolf zebra
"""

_COLOURS = """
    beige black blue brown crimson green grey indigo magenta maroon orange pink purple red scarlet
    teal turquoise violet white yellow
"""

WORDS = tuple(_WORDS.split())
ANIMALS = tuple(_ANIMALS.split())
COLOURS = tuple(_COLOURS.split())
