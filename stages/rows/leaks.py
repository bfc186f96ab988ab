"""Near-duplicates between two sets of texts: MinHash finds candidates, Jaccard similarity decides."""

import zlib
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

_SHINGLE = 3  # characters: one changed letter changes three shingles of a text
_PERMUTATIONS = 128
# Weights of false positives and false negatives. The similarity removes the false positives later.
_WEIGHTS = (0.05, 0.95)
_SEARCHED = 0.8  # a search at a higher similarity would use too few bands


def near_duplicates(
    earlier: Sequence[str], later: Sequence[str], similarity: float
) -> dict[int, tuple[int, float]]:
    """{position in `earlier`: (position in `later`, similarity)} of each text's most similar text.

    Pairs below `similarity` are left out. The texts must be normalised. The similarity is the Jaccard
    similarity of the texts' sets of three characters in a row. MinHash (Broder 1997) with
    locality-sensitive hashing proposes the pairs, so that not all pairs are compared.
    """
    if not earlier or not later:
        return {}
    later_shingles = [_shingles(text) for text in later]
    index = MinHashLSH(min(similarity, _SEARCHED), num_perm=_PERMUTATIONS, weights=_WEIGHTS)
    with index.insertion_session() as session:
        for position, sketch in enumerate(_sketches(later_shingles)):
            session.insert(position, sketch, check_duplication=False)
    duplicates: dict[int, tuple[int, float]] = {}
    earlier_shingles = [_shingles(text) for text in earlier]
    for position, sketch in enumerate(_sketches(earlier_shingles)):
        # The negative position: of equally similar texts, the first one wins.
        candidates = [
            (_jaccard(earlier_shingles[position], later_shingles[candidate]), -candidate)
            for candidate in index.query(sketch)
        ]
        best, negative_position = max(candidates, default=(0.0, 0))
        if best >= similarity:
            duplicates[position] = (-negative_position, best)
    return duplicates


def _shingles(text: str) -> frozenset[str]:
    """All runs of three characters, or the whole text if the text is shorter."""
    count = max(1, len(text) - _SHINGLE + 1)
    return frozenset(text[start : start + _SHINGLE] for start in range(count))


def _sketches(texts: Sequence[frozenset[str]]) -> list[MinHash]:
    encoded = [[shingle.encode("utf-8", "surrogatepass") for shingle in text] for text in texts]
    return list(MinHash.bulk(encoded, num_perm=_PERMUTATIONS, seed=1, hashfunc=zlib.crc32))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
