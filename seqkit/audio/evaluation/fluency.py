"""Faults of a caption's language, found by rules: what a caption is punished for when it is measured.

FENSE (Zhou et al., ICASSP 2022) has a detector that was trained on corrupted captions; this one needs no
weights, and its rules are for the same kinds of corruption. It is apart from the filter of
`captioning.ranking`, and stricter: what chooses captions should not also be all that judges them. Of
captions that people wrote 1.5 to 2.6 % are blamed, most of them for want of a verb; an end that was cut
after a noun is not noticed. Knows texts only, in English; whether a caption is true is not its business.
"""

import re
from collections.abc import Sequence

from seqkit.audio.evaluation.ngrams import words

__all__ = ["FAULTS", "faults"]

FAULTS = ("too short", "unfinished", "repeated word", "doubled phrase", "no verb")
"""All that may be found."""

#: Words that no sentence ends with. Particles of verbs ("goes by", "turned on") are not among them.
_OPEN = frozenset(
    "a an the and or but nor while whilst as if because although until when of with for from to into onto "
    "at upon among amongst toward towards against than then that which who whose where very its his their "
    "my your our is are was were be been am has have had does did could will would should may might must "
    "several various multiple during 's".split()
)
#: Without a word of these a clause tells no event: common verbs of captions; endings find the others.
_STEMS = frozenset(
    (
        "abate accelerate amplify announce applaud approach arrive ask babble bang bark barrel bash beat "
        "become beep begin bend bite blare blast bleat blend blow boil boom bounce bow break breathe "
        "bring brush bubble bump burn burp buzz call carry cast catch caw change chant chat chatter cheer "
        "chew chime chirp chirrup chop chug churn clack clang clank clap clash clatter clean clear click "
        "climb clink clip clop close cluck come communicate continue converse coo cook cool cough crack "
        "crackle crash creak creep crinkle croak crow crumple crunch crush cry cut cycle dance decelerate "
        "decrease deliver die dig discuss dispense do drag drain draw dribble drill drip drive drone drop "
        "drown drum dump echo emit end engage enter exhale explode fade fall fart feed fill find finish "
        "fire fix fizz flap flick flip float flow flush flutter fly fold follow fry gallop gargle gasp "
        "get giggle give go gobble grate graze grind groan grow growl grunt gurgle gush hammer hang "
        "happen hear hiccup hiss hit hold honk hoot hover howl hum idle include increase inhale interact "
        "jingle join jump keep kick knit knock land lap laugh lead leave let lift listen load lock lower "
        "make march meet melt meow mew mimic mix moan moo move mumble murmur narrate neigh occur oink "
        "open operate pack paddle pant pass pat peck pedal persist pick plane play plow pop pound pour "
        "preach press print proceed produce pull pump punch purr push put quack race rattle reach read "
        "recede reduce release remain repeat resonate resound respond rev reverberate ride ring rip "
        "ripple rise roam roar roll rotate rub rumble run rush rustle sand saw say scoop scrape scratch "
        "scream screech screw scribble scrub search seem shake shift shout shovel shower shriek shuffle "
        "shut sigh sing sip sit sizzle skid skip slam slap slide slosh slow slurp smack smash snap sneeze "
        "sniff snip snore sob sort sound spatter speak speed spill spin spit splash splatter spray spread "
        "sprinkle spurt sputter squawk squeak squeal squeeze squish stand start step stir stomp stop "
        "stream strike stroll strum swallow sweep swim swirl swish switch take talk tap tear tell throw "
        "thud thump thunder tick toll toot touch travel trickle trot try tune turn tweet type use vary "
        "vibrate vocalize vroom wade wail walk warble wash whimper whine whir whirl whirr whisper whistle "
        "whizz whoosh work write yawn yell yelp zip zoom"
    ).split()
)
_IRREGULAR = frozenset(
    "is are was were be been am has have had does did done can could will would should may might must 's "
    "'re 'm goes went gone blew blown broke broken came drew drawn drove driven fell fallen flew flown "
    "gave given grew heard held hung kept led left made ran rang read rode rose said sang sat shook shut "
    "slid spoke spoken spun stood struck swept swung taken tore torn threw thrown told took beaten beat "
    "begun began cut put set hit let got gotten sung worn woke cries dies flies tries crying dying flying "
    "frying trying playing".split()
)
#: Words with the ending of a verb that are none.
_NOT_VERBS = frozenset(
    "thing things something nothing everything anything morning evening ceiling building buildings string "
    "strings spring wing wings king clothing lightning during wedding surrounding bed red shed speed need "
    "seed weed feed hundred sacred naked wicked high-pitched low-pitched high-speed".split()
)
#: "again and again" is no fault, nor is "closer and closer".
_MAY_REPEAT = frozenset("again on over up down more round around out off in through further".split())
#: These are said twice on purpose.
_MAY_DOUBLE = frozenset("very ha tick knock beep choo tap click so really many much woof tweet".split())
#: What `seqkit caption` says where nothing is heard: no sentence, and no fault.
_SILENT = ["silence"]
_LINKS = frozenset("and or then".split())
_SMALL = frozenset("a an the and or of in on at to with by for as is are then from it its while into".split())


def _inflected(stem: str) -> set[str]:
    if stem.endswith("e"):
        return {stem, f"{stem}s", f"{stem}d", f"{stem[:-1]}ing"}
    ending = "es" if re.search(r"(s|x|z|ch|sh|o)$", stem) else "s"
    return {stem, f"{stem}{ending}", f"{stem}ed", f"{stem}ing"}


_VERBS = (frozenset(form for stem in _STEMS for form in _inflected(stem)) - _STEMS) | _IRREGULAR
#: What the plain form of a verb follows where it is no noun, besides plurals and adverbs.
_PLURALS = frozenset(
    "people men women children kids cattle sheep geese fish police and or to who that which they it can "
    "could will would should may might must do does did not n't both all some others each other".split()
)


def faults(text: str) -> tuple[str, ...]:
    """What is wrong with a caption, of `FAULTS`; nothing where the rules find nothing.

    Parts of a caption that a full stop or a semicolon separates are looked at one by one.

    Examples
    --------
    >>> faults("A dog barks in the distance.")
    ()
    >>> faults("a dog barks and the"), faults("a dog dog barks"), faults("a loud dog in a yard")
    (('unfinished',), ('repeated word',), ('no verb',))
    >>> faults("a dog barks loudly and a dog barks loudly")
    ('doubled phrase',)
    """
    parts = [words(part) for part in re.split(r"[.;!?]+(?:\s|$)", text)]
    sentences = [part for part in parts if part] or [[]]
    whole = [word for part in sentences for word in part]
    if whole == _SILENT:
        return ()
    checks = (
        len(whole) < 2,
        any(map(_ends_open, sentences)),
        any(_repeats_word(part) for part in sentences),
        _doubles_phrase(whole),
        not any(_is_verb(before, word) for before, word in zip(["", *whole], whole, strict=False)),
    )
    return tuple(name for name, found in zip(FAULTS, checks, strict=True) if found)


def _ends_open(sentence: Sequence[str]) -> bool:
    """Whether the last word waits for another one; the noun of "for a while" does not."""
    return bool(sentence) and sentence[-1] in _OPEN and sentence[-2:-1] not in (["a"], ["little"])


def _is_verb(before: str, word: str) -> bool:
    if word in _VERBS:
        return True
    if word in _STEMS:
        return before in _PLURALS or before.endswith(("s", "ly"))
    return len(word) > 4 and word.endswith(("ing", "ed")) and word not in _NOT_VERBS


def _repeats_word(sentence: Sequence[str]) -> bool:
    """Whether a word follows itself, at once or after "and"."""
    at_once = any(
        one == two and one not in _MAY_DOUBLE for one, two in zip(sentence, sentence[1:], strict=False)
    )
    return at_once or any(
        one == two and link in _LINKS and one not in _MAY_REPEAT and not one.endswith("er")
        for one, link, two in zip(sentence, sentence[1:], sentence[2:], strict=False)
    )


def _doubles_phrase(sentence: Sequence[str]) -> bool:
    """Whether three words in a row come again, or two at once."""
    triples = [tuple(sentence[place : place + 3]) for place in range(len(sentence) - 2)]
    telling = [triple for triple in triples if len(set(triple) - _SMALL) > 1]
    twice = any(
        tuple(sentence[place : place + 2]) == tuple(sentence[place + 2 : place + 4])
        for place in range(len(sentence) - 3)
    )
    return len(set(telling)) < len(telling) or twice
