"""The minibatches of networks once more, in plain Python: Philox 4x32-10 and a shuffle.

Worker i's stream in round k is 2³¹ + i, with the key (seed, seed >> 32) and the counter
(block, stream, k, k >> 32).
Each local step takes the first of a shuffle of the worker's samples.
"""

from collections.abc import Iterator

FIRST_STREAM = 2**31
WORD = 2**32


def batches(seed: int, k: int, worker: int, samples: int, size: int) -> Iterator[list[int]]:
    """Which of a worker's samples its first local step in round k sees, its second, and so on.

    All of them where `size` is 0, or not below their number.
    """
    if not 0 < size < samples:
        while True:
            yield list(range(samples))
    words = _words(seed, FIRST_STREAM + worker, k)
    while True:
        moved: dict[int, int] = {}  # of a list 0, 1, …, which is shuffled
        chosen = []
        for a in range(size):
            other = a + _below(words, samples - a)
            chosen.append(moved.get(other, other))
            moved[other] = moved.get(a, a)
        yield chosen


def _words(seed: int, stream: int, k: int) -> Iterator[int]:
    """The words of a stream."""
    block = 0
    while True:
        c = [block, stream, k % WORD, k // WORD]
        key = [seed % WORD, seed // WORD]
        for _ in range(10):
            one, two = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [two // WORD ^ c[1] ^ key[0], two % WORD, one // WORD ^ c[3] ^ key[1], one % WORD]
            key = [(key[0] + 0x9E3779B9) % WORD, (key[1] + 0xBB67AE85) % WORD]
        yield from c
        block += 1


def _below(words: Iterator[int], bound: int) -> int:
    """Uniform in 0 … bound − 1: the high word of a product, unless it is one of too many."""
    while True:
        high, low = divmod(next(words) * bound, WORD)
        if low >= WORD % bound:
            return high
