"""Near-duplicates between two sets of texts: MinHash finds candidates, Jaccard similarity decides."""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

_SHINGLE = 3  # characters: one changed letter changes three shingles of a text
_PERMUTATIONS = 128
# Weights of false positives and false negatives. The similarity removes the false positives later.
_WEIGHTS = (0.05, 0.95)
_SEARCHED = 0.8  # a search at a higher similarity would use too few bands
_BATCH = 2000  # texts whose shingles are in memory at once
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def near_duplicates(
    earlier: Sequence[str], later: Sequence[str], similarity: float
) -> dict[int, tuple[int, float]]:
    """{position in `earlier`: (position in `later`, similarity)} of each text's most similar text.

    Pairs below `similarity` are left out. The texts must be normalised. The similarity is the Jaccard
    similarity of the texts' sets of three characters in a row. MinHash (Broder 1997) with
    locality-sensitive hashing proposes the pairs, so that not all pairs are compared. Of equally similar
    texts, the first one is returned.
    """
    if not earlier or not later:
        return {}
    lsh = MinHashLSH(min(similarity, _SEARCHED), num_perm=_PERMUTATIONS, weights=_WEIGHTS)
    # The index contains the smaller set, because the index stays in memory.
    is_earlier_indexed = len(earlier) < len(later)
    indexed, queried = (earlier, later) if is_earlier_indexed else (later, earlier)
    index = np.concatenate([bands for _, bands in _batches(indexed, lsh.b, lsh.r)])
    order = np.argsort(index, axis=0, kind="stable")
    index = np.take_along_axis(index, order, axis=0)
    duplicates: dict[int, tuple[int, float]] = {}
    for start, bands in _batches(queried, lsh.b, lsh.r):
        for row, candidates in _candidates(bands, index, order).items():
            shingles = _shingles(queried[start + row])
            for candidate in sorted(candidates):
                pair = (start + row, candidate)
                position, match = pair[::-1] if is_earlier_indexed else pair
                likeness = _jaccard(shingles, _shingles(indexed[candidate]))
                if likeness >= similarity and likeness > duplicates.get(position, (0, 0.0))[1]:
                    duplicates[position] = (match, likeness)
    return duplicates


def _batches(
    texts: Sequence[str], n_bands: int, rows_per_band: int
) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """(position of the first text, bands of the texts) of every batch. Bands: (texts, bands).

    Two texts are candidates if one of their bands is equal.
    """
    for start in range(0, len(texts), _BATCH):
        encoded = [
            [shingle.encode("utf-8", "surrogatepass") for shingle in _shingles(text)]
            for text in texts[start : start + _BATCH]
        ]
        sketches = MinHash.generator(encoded, num_perm=_PERMUTATIONS, seed=1, hashfunc=zlib.crc32)
        values = np.stack([sketch.hashvalues for sketch in sketches]).astype(np.uint64)
        values = values[:, : n_bands * rows_per_band].reshape(-1, n_bands, rows_per_band)
        bands = np.zeros(values.shape[:2], np.uint64)
        for column in range(rows_per_band):
            bands = (bands ^ values[:, :, column]) * _MULTIPLIER
            bands ^= bands >> np.uint64(29)
        yield start, bands


def _candidates(
    bands: NDArray[np.uint64], index: NDArray[np.uint64], order: NDArray[np.int64]
) -> dict[int, set[int]]:
    """{row of `bands`: positions of the indexed texts with an equal band}, in the order of the rows.

    `index`: the bands of the indexed texts, each column sorted. `order`: their positions.
    """
    candidates: dict[int, set[int]] = {}
    for column in range(bands.shape[1]):
        first = np.searchsorted(index[:, column], bands[:, column], "left")
        last = np.searchsorted(index[:, column], bands[:, column], "right")
        for row in np.flatnonzero(last > first).tolist():
            positions = order[first[row] : last[row], column].tolist()
            candidates.setdefault(row, set()).update(positions)
    return dict(sorted(candidates.items()))


def _shingles(text: str) -> frozenset[str]:
    """All runs of three characters, or the whole text if the text is shorter."""
    count = max(1, len(text) - _SHINGLE + 1)
    return frozenset(text[start : start + _SHINGLE] for start in range(count))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
