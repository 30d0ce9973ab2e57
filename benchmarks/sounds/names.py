"""AudioSet classes that a sound's own name tells: labels of data sets, and words in names of files.

Knows words; not files. A name that says nothing certain gives no class: teachers label the rest.
"""

import re

__all__ = ["classes_of_label", "classes_of_name"]

#: What the labels of ESC-10, UrbanSound8K, the TAU urban scenes and made sounds are in AudioSet.
_LABELS = {
    "baby-cry": ["Baby cry, infant cry", "Crying, sobbing"],
    "chainsaw": ["Chainsaw"],
    "clock-tick": ["Tick-tock", "Tick", "Clock"],
    "dog-bark": ["Bark", "Dog", "Animal"],
    "fire-crackling": ["Fire", "Crackle"],
    "helicopter": ["Helicopter", "Aircraft"],
    "person-sneeze": ["Sneeze"],
    "rain": ["Rain", "Water"],
    "rooster": ["Crowing, cock-a-doodle-doo", "Chicken, rooster", "Fowl", "Animal"],
    "sea-waves": ["Waves, surf", "Ocean", "Water"],
    "air_conditioner": ["Air conditioning"],
    "car_horn": ["Vehicle horn, car horn, honking", "Car", "Vehicle"],
    "children_playing": ["Children playing", "Children shouting"],
    "dog_bark": ["Bark", "Dog", "Animal"],
    "drilling": ["Drill", "Power tool", "Tools"],
    "engine_idling": ["Idling", "Engine"],
    "gun_shot": ["Gunshot, gunfire"],
    "jackhammer": ["Jackhammer", "Tools"],
    "siren": ["Siren"],
    "street_music": ["Music"],
    "airport": ["Inside, public space"],
    "bus": ["Bus", "Vehicle"],
    "metro": ["Subway, metro, underground", "Rail transport"],
    "metro_station": ["Inside, public space", "Subway, metro, underground"],
    "park": ["Outside, rural or natural"],
    "public_square": ["Outside, urban or manmade"],
    "shopping_mall": ["Inside, public space"],
    "street_pedestrian": ["Outside, urban or manmade"],
    "street_traffic": ["Traffic noise, roadway noise", "Vehicle", "Outside, urban or manmade"],
    "tram": ["Rail transport", "Vehicle"],
    "noise": ["White noise", "Noise"],
    "low-noise": ["Pink noise", "Noise"],
    "noise-bursts": ["Noise"],
    "tone": ["Sine wave"],
    "beeps": ["Beep, bleep"],
    "sweep": ["Chirp tone"],
    "tones": ["Sine wave"],
}

#: Words in a file's name, and its classes. Creatures without a class of their own are animals.
_WORDS = [
    (r"_desc|voices?/|theme\d|university|school$", ["Speech"]),
    (r"/buckle/wav", ["Computer keyboard", "Typing"]),
    (r"\bdogs?\b", ["Dog", "Animal"]),
    (r"\b(fox|coyote)\b|wolf-(growl|hit|die)", ["Canidae, dogs, wolves", "Animal"]),
    (r"\bwolf\b", ["Howl", "Canidae, dogs, wolves", "Animal"]),
    (r"wolf-growl", ["Growling"]),
    (r"\b(black)?cat\b", ["Cat", "Meow", "Animal"]),
    (r"\b(lion|tiger)\b", ["Roaring cats (lions, tigers)", "Roar", "Animal"]),
    (r"\bhorse|\bzebra\b", ["Horse", "Animal"]),
    (r"canter", ["Clip-clop"]),
    (r"\b(cow|bull|ox|bison|cow_white)\b", ["Cattle, bovinae", "Moo", "Animal"]),
    (r"\b(pig|boar|pig_golden)\b", ["Pig", "Oink", "Animal"]),
    (r"\b(goat|mountaingoat)\b", ["Goat", "Bleat", "Animal"]),
    (r"\b(sheep|ram|sheep_lamb)\b", ["Sheep", "Bleat", "Animal"]),
    (r"\bhen\b", ["Chicken, rooster", "Cluck", "Fowl", "Animal"]),
    (r"\brooster\b", ["Chicken, rooster", "Crowing, cock-a-doodle-doo", "Fowl", "Animal"]),
    (r"\bturkey\b", ["Turkey", "Gobble", "Fowl", "Animal"]),
    (r"\b(duck|drake)\b(?!-)", ["Duck", "Quack", "Animal"]),
    (r"\b(gander)\b", ["Goose", "Honk", "Animal"]),
    (r"\b(crow)\b", ["Crow", "Caw", "Bird", "Animal"]),
    (r"\bowl\b", ["Owl", "Hoot", "Bird", "Animal"]),
    (
        r"\bbirds?\b|\b(blackbird|lark|cuckoo|quetzal|tucan|seagull|vulture|heron)\b|/birds/",
        ["Bird", "Animal"],
    ),
    (r"\b(blackbird|lark|birds?|morning)\b", ["Bird vocalization, bird call, bird song", "Chirp, tweet"]),
    (r"\b(mouse|squirrel)\b", ["Rodents, rats, mice", "Animal"]),
    (r"\b(grasshopper|crickets?|night)\b", ["Cricket", "Insect", "Animal"]),
    (r"\bmosquito\b", ["Mosquito", "Insect", "Animal"]),
    (r"\b(bee|hornet)\b", ["Bee, wasp, etc.", "Buzz", "Insect", "Animal"]),
    (r"\bfrog\b", ["Frog", "Croak", "Animal"]),
    (r"\b(whale|orca|dolphin)\b", ["Whale vocalization", "Animal"]),
    (r"\b(bear|camel|elephant|gorilla|chimp|donkey|deer|stag|moose|sea_lion|koala)\b", ["Animal"]),
    (r"\bfarm(_animal)?\b|organicfarm", ["Livestock, farm animals, working animals", "Animal"]),
    (r"^(?!.*(loop|music)).*\b(drumkit|kick|bd|bl)\b", ["Bass drum", "Drum", "Percussion"]),
    (r"\b(sn|sd|snare\w*|rsnare|jsnare)\b", ["Snare drum", "Drum", "Percussion"]),
    (r"\b(hh|hihat\w*|hhopen|hhclosed|ho|hat)\b", ["Hi-hat", "Cymbal", "Percussion"]),
    (r"\b(ride\w*|crash\w*|china|cymbal\w*)\b(?=.*)", ["Cymbal", "Percussion"]),
    (r"\b(tom\w*|floortom|ft|tm|drum_tomtom_floor|djembe\w*)\b", ["Drum", "Percussion"]),
    (r"tambourine", ["Tambourine", "Percussion"]),
    (r"cowbell", ["Cowbell", "Percussion"]),
    (r"/drumkits/", ["Percussion", "Musical instrument"]),
    (r"wardrums", ["Drum", "Percussion"]),
    (r"\bviolin\b", ["Violin, fiddle", "Music"]),
    (r"\bcello\b", ["Cello", "Music"]),
    (r"\bbassoon\b", ["Wind instrument, woodwind instrument", "Music"]),
    (r"\bhorn-signals|fanfare", ["Brass instrument", "Music"]),
    (r"music/|\bintro\b|ingame", ["Music"]),
    (r"explosion\w*|dynamite_exp|_exp\b|cave-in", ["Explosion"]),
    (r"gunshot|minigun|shotgun(fire)?\b|\bm16\b|sniper|\bgun\b|thunderstick$", ["Gunshot, gunfire"]),
    (r"m16|minigun", ["Machine gun"]),
    (r"mortar", ["Artillery fire"]),
    (r"fireworks", ["Fireworks"]),
    (r"lightning(?!-miss)", ["Thunder", "Thunderstorm"]),
    (r"\b(campfire|fire|flame\w*|torch|embers\d?|firewasteland)\b(?!-miss|station)", ["Fire"]),
    (r"campfire|embers", ["Crackle"]),
    (r"\b(water\d?|harbor|parklandlake)", ["Water"]),
    (r"splash|water-blast|planewater|beewater", ["Splash, splatter", "Water"]),
    (r"droplet", ["Drip", "Liquid"]),
    (r"\bsword\b|dagger|hatchet|spear|\bstaff\b|-miss\b|sling|throw", ["Whoosh, swoosh, swish"]),
    (r"\bbow\b|crossbow|\bdart\b", ["Arrow"]),
    (r"\b(fist|club|mace|flail)\b(?!-miss)|impact|bump|hitting", ["Thump, thud"]),
    (r"glass|bottle", ["Glass"]),
    (r"hammer\w*|anvil|blacksmith|ironping|smith", ["Hammer", "Tools"]),
    (r"jackhammer|airhammer|pickhammer", ["Jackhammer", "Tools"]),
    (r"sawing|benchsaw|\bsaw\b|sawmill", ["Sawing", "Tools"]),
    (r"drill", ["Drill", "Power tool"]),
    (r"woodcutt\w*", ["Chop", "Wood"]),
    (r"sharpening|stonegrind", ["Scrape"]),
    (r"tick\b|minetick", ["Tick"]),
    (r"beep", ["Beep, bleep"]),
    (r"click|clic\b", ["Clicking"]),
    (r"\bwhistle\b", ["Whistle"]),
    (r"whipcrack", ["Whip"]),
    (r"vacuum", ["Vacuum cleaner"]),
    (r"washing", ["Mechanisms"]),
    (r"toilet", ["Toilet flush", "Water"]),
    (r"kettle", ["Steam"]),
    (r"camera|shutterclick", ["Camera"]),
    (r"scissors", ["Scissors"]),
    (r"firetruck|firestation", ["Siren", "Fire engine, fire truck (siren)"]),
    (r"railtrain", ["Train", "Rail transport", "Vehicle"]),
    (r"trafic|dirttrack", ["Traffic noise, roadway noise", "Vehicle"]),
    (r"aircraft_flying|\bplane\b|rcplane|parklandplane", ["Aircraft", "Vehicle"]),
    (r"rocket|jetpack", ["Jet engine"]),
    (r"windmill", ["Wind"]),
    (r"sportscroud", ["Cheering", "Crowd"]),
    (r"market", ["Hubbub, speech noise, speech babble", "Crowd"]),
    (r"laugh", ["Laughter"]),
    (r"tavern|\binn\b", ["Chatter", "Crowd"]),
    (r"human-(\w+-)?(die|hit)|\bgroan|hell_o", ["Groan"]),
    (r"steps?\b", ["Walk, footsteps"]),
    (r"steam", ["Steam"]),
    (r"\bhiss", ["Hiss"]),
    (r"oxygen-", ["Sound effect"]),
]
_COMPILED = [(re.compile(pattern), classes) for pattern, classes in _WORDS]


def classes_of_label(label: str) -> list[str]:
    """AudioSet names of a data set's own label."""
    return list(_LABELS[label])


def classes_of_name(path: str) -> list[str]:
    """AudioSet names that the words in a file's path tell; none, often."""
    text = re.sub(r"(?<=[a-z])[-_ ]*\d+(?=\.)", "", path.lower()).rsplit(".", 1)[0]
    found: dict[str, None] = {}
    for pattern, classes in _COMPILED:
        if pattern.search(text):
            found.update(dict.fromkeys(classes))
    return list(found)
