"""Near-duplicates between two sets of texts: found by MinHash, decided by the true similarity."""

import zlib
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

_SHINGLE = 3  # characters: a changed letter alters three of a text's shingles
_PERMUTATIONS = 128
_RECALL = (0.05, 0.95)  # the search may find too many, which the true similarity then refuses
_SEARCHED = 0.8  # a search for texts still more alike than this would have too few bands


def near_duplicates(
    earlier: Sequence[str], later: Sequence[str], similarity: float
) -> dict[int, tuple[int, float]]:
    """{place in `earlier`: (place in `later`, similarity)} of the likest text, if it is like enough.

    The texts are normalised already. `similarity` is Jaccard's of their sets of three characters in a
    row. MinHash (Broder 1997) with locality-sensitive hashing proposes pairs without comparing all.
    """
    if not earlier or not later:
        return {}
    shingles = [_shingles(text) for text in later]
    index = MinHashLSH(min(similarity, _SEARCHED), num_perm=_PERMUTATIONS, weights=_RECALL)
    with index.insertion_session() as session:
        for place, sketch in enumerate(_sketches(shingles)):
            session.insert(place, sketch, check_duplication=False)
    found: dict[int, tuple[int, float]] = {}
    own = [_shingles(text) for text in earlier]
    for at, sketch in enumerate(_sketches(own)):
        alike = [(_jaccard(own[at], shingles[place]), -place) for place in index.query(sketch)]
        best = max(alike, default=(0.0, 0))
        if best[0] >= similarity:
            found[at] = (-best[1], best[0])
    return found


def _shingles(text: str) -> frozenset[str]:
    """All runs of three characters; of a shorter text the text itself."""
    last = max(1, len(text) - _SHINGLE + 1)
    return frozenset(text[at : at + _SHINGLE] for at in range(last))


def _sketches(texts: Sequence[frozenset[str]]) -> list[MinHash]:
    encoded = [[shingle.encode("utf-8", "surrogatepass") for shingle in text] for text in texts]
    return list(MinHash.bulk(encoded, num_perm=_PERMUTATIONS, seed=1, hashfunc=zlib.crc32))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
