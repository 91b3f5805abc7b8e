"""The mask kernels in Numba: parallel on TBB, the mask's part in vectors of LLVM's.

Philox4x32-10 is that of Salmon et al. (2011), "Parallel random numbers: as
easy as 1, 2, 3"; normals are Box and Muller's (1958). Checked against
`reference`: masks and uniforms bit for bit, normals to 2e-6 of their radius.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import log, pi, sqrt
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import njit, prange, types
from numba.extending import intrinsic

from fastdrop.kernels.numba_threads import can_run_parallel

PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
PHILOX_ROUNDS = 10
DIGIT_BITS = 16

_M0, _M1 = (np.uint64(m) for m in PHILOX_MULTIPLIERS)
_I0, _I1 = (np.uint64(i) for i in PHILOX_INCREMENTS)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_COMPANION = np.uint64(1 << 63)
_DIGIT, _DIGIT_MASK = np.uint64(DIGIT_BITS), np.uint64(0xFFFF)
_KEPT, _DROPPED = np.uint16(0xFFFF), np.uint16(0)
_TO_ODD, _ODD = np.uint32(8), np.uint32(1)  # word >> 8 | 1 is 2 * ((word >> 9) + 0.5)
_MANTISSA, _SQRT_HALF = np.int64(52), np.int64(0x3FE6A09E667F3BCD)  # sqrt(1/2), its bits
_LN_2 = log(2.0)

# All that is compiled stands in this one file: Numba's cache watches the file
# of a kernel, not the files of what it calls.

# Work goes through buffers that stay in the first-level cache: a window of
# consecutive draws and, where draws are shared, a tile of elements into which
# they are spread.
_WINDOW = 4096
_TILE = _WINDOW // 2
_LANES = 32
_TILE_SIZE = 2 * _TILE + _LANES  # a tile begins and ends with whole rows


def _is_wide() -> bool:
    """Whether the processor that Numba compiles for has AVX-512, as far as can be known."""
    try:
        features = {} if numba.config.CPU_NAME else binding.get_host_cpu_features()
        return bool(features.get("avx512bw"))
    except RuntimeError:
        return False


# Blocks of the stream in a vector, and vectors that are computed in step since one would
# wait for itself: as many as the registers hold.
_IS_WIDE = _is_wide()
_BLOCKS, _CHAINS = 8 if _IS_WIDE else 4, 4
_GROUP = _BLOCKS * _CHAINS  # blocks that are generated together

# Whether lower halves of products are as quick as the products, as in Zen 3; others shuffle.
_CPU = numba.config.CPU_NAME or binding.get_host_cpu_name()
_MULTIPLIES = _CPU in ("znver3", "znver4", "znver5")

# A schedule, what the blocks of a stream share, is an array of rows a vector long, for
# instructions that take them from memory: the keys of each round; those of the last
# one with the highest bit of each digit flipped; and the first two rounds as far as
# they do not depend on a block's low word. The block's high word for which these
# last rows were computed stands behind them; of packed vectors, round 2's keys have
# something of it, too.
_KEY_ROWS = 2 if _IS_WIDE else 1
_FLIPPED_KEYS, _FOLDS = _KEY_ROWS * PHILOX_ROUNDS, _KEY_ROWS * (PHILOX_ROUNDS + 1)
_FOLDED_HIGH = (_FOLDS + 4) * _BLOCKS
_SIGNS, _SIGN = np.uint64(0x8000800080008000), np.uint64(0x8000)
_NOTHING = np.uint64(0xFFFFFFFFFFFFFFFF)


_intrinsic: Any = intrinsic  # by its type a call would need the typing context too


def _jit(function=None, **options):
    """`numba.njit` without the GIL, compiled at the first call and cached where that can be."""
    if function is None:
        return lambda function: _jit(function, **options)
    options = {"nogil": True, "error_model": "numpy", "boundscheck": False, **options}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no writable place for Numba's cache
        return njit(**options)(function)


@_jit(forceinline=True)
def _round(x, k0, k1):
    p0, p1 = _M0 * x[0], _M1 * x[2]
    return (p1 >> _HALF) ^ x[1] ^ k0, p1 & _LOW, (p0 >> _HALF) ^ x[3] ^ k1, p0 & _LOW


@_jit(forceinline=True)
def _last_round(x, k0, k1):
    """The last round, with the four words it gives packed in two uint64."""
    p0, p1 = _M0 * x[0], _M1 * x[2]
    return (p1 >> _HALF | p1 << _HALF) ^ x[1] ^ k0, (p0 >> _HALF | p0 << _HALF) ^ x[3] ^ k1


@_jit
def _block(key, stream, block):
    """The four words of one block, packed in two uint64."""
    x = block & _LOW, block >> _HALF, stream & _LOW, stream >> _HALF
    k0, k1 = key & _LOW, key >> _HALF
    for _ in range(PHILOX_ROUNDS - 1):
        x = _round(x, k0, k1)
        k0, k1 = (k0 + _I0) & _LOW, (k1 + _I1) & _LOW
    return _last_round(x, k0, k1)


@_jit
def _schedule(key):
    schedule = np.empty(_FOLDED_HIGH + 1, np.uint64)
    k0, k1 = key & _LOW, key >> _HALF
    for r in range(PHILOX_ROUNDS):
        _set_keys(schedule, _KEY_ROWS * r, r, k0, k1)
        _set_keys(schedule, _FLIPPED_KEYS, r, k0 ^ _SIGNS, k1 ^ _SIGNS)
        k0, k1 = (k0 + _I0) & _LOW, (k1 + _I1) & _LOW
    schedule[_FOLDED_HIGH] = _NOTHING
    return schedule


@_jit
def _set_keys(schedule, row, r, k0, k1):
    """A round's keys: a row for each word that it makes, or one for both."""
    if _IS_WIDE:
        _set_row(schedule, row, k0)
        _set_row(schedule, row + 1, k1)
    else:
        _set_pairs(schedule, row, r + 1, k0, k1)


@_jit
def _set_row(schedule, row, value):
    for lane in range(_BLOCKS):
        schedule[row * _BLOCKS + lane] = value


@_jit
def _set_pairs(schedule, row, r, word0, word2):
    """A row of what belongs to words 0 and 2 where they lie before round `r`; see `_LANES_OF`."""
    word0, word2 = word0 & _LOW, word2 & _LOW
    if r % 2 == 0:
        first, second = word0 << _HALF | word0, word2 << _HALF | word2
        if r % 4 == 0:
            first, second = second, first
    else:
        first = word0 << _HALF | word2 if r % 4 == 3 else word2 << _HALF | word0
        second = first
    for lane in range(0, _BLOCKS, 2):
        schedule[row * _BLOCKS + lane] = first
        schedule[row * _BLOCKS + lane + 1] = second


@_jit
def _folded_groups(schedule, key, stream, block, groups):
    """How many groups from a block on have its high word, which the schedule then holds."""
    high = block >> _HALF
    if schedule[_FOLDED_HIGH] != high:
        k0, k1 = key & _LOW, key >> _HALF
        p1 = _M1 * (stream & _LOW)
        p0 = _M0 * (p1 >> _HALF ^ high ^ k0)
        fold2 = stream >> _HALF ^ k1
        k0, k1 = (k0 + _I0) & _LOW, (k1 + _I1) & _LOW
        fold0, fold2b, word3 = p1 & _LOW ^ k0, p0 >> _HALF ^ k1, p0 & _LOW
        _set_row(schedule, _FOLDS, fold2)
        if _IS_WIDE:
            _set_row(schedule, _FOLDS + 1, fold0)
            _set_row(schedule, _FOLDS + 2, fold2b)
            _set_row(schedule, _FOLDS + 3, word3)
        else:
            _set_pairs(schedule, _FOLDS + 1, 2, fold0, fold2b)
            _set_pairs(schedule, 2, 3, (k0 + _I0) & _LOW, (k1 + _I1) & _LOW ^ word3)
        schedule[_FOLDED_HIGH] = high
    return min(groups, np.intp((_LOW - (block & _LOW) + np.uint64(1)) // np.uint64(_GROUP)))


def _splat(builder, value, count):
    """A vector of one value, a Python int for 64-bit lanes."""
    if isinstance(value, int):
        return ir.Constant(ir.VectorType(ir.IntType(64), count), [value] * count)
    lanes = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    lanes = builder.insert_element(lanes, value, ir.IntType(32)(0))
    return _shuffle(builder, lanes, lanes, [0] * count)


def _shuffle(builder, x, y, lanes):
    indices = ir.VectorType(ir.IntType(32), len(lanes))
    return builder.shuffle_vector(x, y, ir.Constant(indices, list(lanes)))


def _vector(context, builder, array_type, array, index, count):
    """Pointer to the `count` elements that begin at an index."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(context.get_data_type(array_type.dtype), count)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _emit_row(context, builder, schedule_type, schedule, k):
    index = ir.IntType(64)(k * _BLOCKS)
    place = _vector(context, builder, schedule_type, schedule, index, _BLOCKS)
    return builder.load(place, align=8)


def _emit_digits(context, builder, schedule_type, schedule, block, flipped):
    """The digits of a group, as vectors of 16-bit lanes in the order of `_ORDER`."""
    emit = _emit_wide if _IS_WIDE else _emit_packed
    for part in emit(context, builder, schedule_type, schedule, block, flipped):
        yield builder.bitcast(part, ir.VectorType(ir.IntType(16), 4 * _BLOCKS))


def _emit_wide(context, builder, schedule_type, schedule, block, flipped):
    """The words of a group, as vectors.

    A word stands in a 64-bit lane, of which the high half is what the multiplication
    ignores, so that it is never cleared: a round of AVX-512 is two vpmuludq, two vpsrlq
    and two vpternlogq.
    """
    low, half = _splat(builder, 0xFFFFFFFF, _BLOCKS), _splat(builder, 32, _BLOCKS)
    m0, m1 = (_splat(builder, m, _BLOCKS) for m in PHILOX_MULTIPLIERS)

    def row(k):
        return _emit_row(context, builder, schedule_type, schedule, k)

    def product(x, m):
        return builder.mul(builder.and_(x, low), m)

    def high_xor(p, x, k):
        return builder.xor(builder.lshr(p, half), builder.xor(x, k) if x else k)

    chains = []
    for chain in range(_CHAINS):
        lanes = ir.Constant(low.type, [chain * _BLOCKS + lane for lane in _BLOCK_OF_LANE])
        p0 = product(builder.add(_splat(builder, block, _BLOCKS), lanes), m0)
        x2 = high_xor(p0, None, row(_FOLDS))
        p1 = product(x2, m1)
        x0 = high_xor(p1, None, row(_FOLDS + 1))
        chains.append((x0, p1, builder.xor(p0, row(_FOLDS + 2)), row(_FOLDS + 3)))
    for r in range(2, PHILOX_ROUNDS - 1):
        k0, k1 = row(2 * r), row(2 * r + 1)
        products = [(product(x[0], m0), product(x[2], m1)) for x in chains]
        chains = [
            (high_xor(p1, x[1], k0), p1, high_xor(p0, x[3], k1), p0)
            for x, (p0, p1) in zip(chains, products, strict=True)
        ]
    last = _FLIPPED_KEYS if flipped else 2 * PHILOX_ROUNDS - 2
    k0, k1 = row(last), row(last + 1)
    halves = ir.VectorType(ir.IntType(32), 2 * _BLOCKS)

    def last_words(p, x, k):
        """The two words of a block that a product gives, the higher half first."""
        p = builder.bitcast(p, halves)
        p = builder.bitcast(_shuffle(builder, p, p, [i ^ 1 for i in range(2 * _BLOCKS)]), x.type)
        return builder.xor(p, builder.xor(builder.and_(x, low), k))

    for x0, x1, x2, x3 in chains:
        p0, p1 = product(x0, m0), product(x2, m1)
        x01, x23 = last_words(p1, x1, k0), last_words(p0, x3, k1)
        for pairs in _PAIRS:
            yield _shuffle(builder, x01, x23, pairs)


# Which words the lanes of a packed vector hold before a round, by the number of the round
# modulo 4: a block's in lanes 0 and 3 of four, another's in 1 and 2. A shuffle of the
# products' upper halves takes them from one row of these to the next, and two such
# shuffles a word to the other lane of its block.
_LANES_OF = {2: (0, 0, 2, 2), 3: (2, 0, 2, 0), 0: (2, 2, 0, 0), 1: (0, 2, 0, 2)}


def _emit_packed(context, builder, schedule_type, schedule, block, flipped):
    """As `_emit_wide` for vectors of 256 bits: a round is seven operations.

    Words 0 and 2 of four blocks, x, fill the eight lanes of a vector as `_LANES_OF` says;
    words 1 and 3, y, the lower halves of the products before, lie where the new words 0
    and 2 come to lie that are made with them.
    """
    words, wide = (ir.VectorType(ir.IntType(bits), 256 // bits) for bits in (32, 64))
    half = _splat(builder, 32, _BLOCKS)

    def row(k):
        return builder.bitcast(_emit_row(context, builder, schedule_type, schedule, k), words)

    def multipliers(lanes):
        return ir.Constant(words, [PHILOX_MULTIPLIERS[word // 2] for word in lanes] * 2)

    def product(x, m):
        """Of the even lanes."""
        low = _splat(builder, 0xFFFFFFFF, _BLOCKS)
        x, m = (builder.and_(builder.bitcast(value, wide), low) for value in (x, m))
        return builder.bitcast(builder.mul(x, m), words)

    def shifted(x, shift):
        return builder.bitcast(shift(builder.bitcast(x, wide), half), words)

    def products(x, r):
        lanes = _LANES_OF[r % 4]
        odd = multipliers([lanes[1], lanes[1], lanes[3], lanes[3]])
        return product(x, multipliers(lanes)), product(shifted(x, builder.lshr), odd)

    def lower_halves(x, p, q, r):
        if _MULTIPLIES:
            return builder.mul(x, multipliers(_LANES_OF[r % 4]))
        return _shuffle(builder, p, q, [0, 8, 2, 10, 4, 12, 6, 14])

    m0, m1 = (ir.Constant(words, [m] * 8) for m in PHILOX_MULTIPLIERS)
    chains = []
    for chain in range(_CHAINS):
        lanes = ir.Constant(wide, [chain * _BLOCKS + lane for lane in range(_BLOCKS)])
        p0 = product(builder.add(_splat(builder, block, _BLOCKS), lanes), m0)
        p1 = product(builder.xor(shifted(p0, builder.lshr), row(_FOLDS)), m1)
        x = _shuffle(builder, p1, p0, [1, 3, 10, 8, 5, 7, 14, 12])
        chains.append((builder.xor(x, row(_FOLDS + 1)), shifted(p1, builder.shl)))
    for r in range(2, PHILOX_ROUNDS - 1):
        for chain, (x, y) in enumerate(chains):
            p, q = products(x, r)
            upper = _shuffle(builder, q, p, [1, 3, 9, 11, 5, 7, 13, 15])
            new = builder.xor(upper, builder.xor(y, row(r)))
            chains[chain] = new, lower_halves(x, p, q, r)
    signs = ir.Constant(words, [int(_SIGNS & _LOW) if flipped else 0] * 8)
    for x, y in chains:
        p, q = products(x, PHILOX_ROUNDS - 1)
        y = builder.xor(y, row(_FLIPPED_KEYS if flipped else PHILOX_ROUNDS - 1))
        x01 = builder.xor(q, _shuffle(builder, signs, y, [0, 8, 1, 9, 4, 12, 5, 13]))
        x23 = builder.xor(p, _shuffle(builder, signs, y, [2, 10, 3, 11, 6, 14, 7, 15]))
        for first in (0, 4):
            lanes = range(first, first + 4)
            yield _shuffle(builder, x01, x23, [*lanes, *(8 + lane for lane in lanes)])


if _IS_WIDE:
    # Unpacking pairs of words in each 128 bits gives the digits in natural order.
    _BLOCK_OF_LANE: tuple[int, ...] = (0, 4, 1, 5, 2, 6, 3, 7)
    _PAIRS: tuple[tuple[int, ...], ...] = ((0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15))
    _ORDER: tuple[int, ...] = tuple(range(32))
else:
    # Within 128 bits once the digits are doubled, so that their shuffle is one operation.
    _ORDER = (2, 3, 0, 1, 14, 15, 12, 13, 6, 7, 4, 5, 10, 11, 8, 9)


@contextmanager
def _emit_unless_tied(context, builder, schedule_type, schedule, block, high, must_settle):
    """What is done with a group where no digit ties: (whether one does, who is dropped)."""
    digits = list(_emit_digits(context, builder, schedule_type, schedule, block, flipped=True))
    high = _splat(builder, high, 4 * _BLOCKS)
    ties = [builder.sext(builder.icmp_signed("==", part, high), part.type) for part in digits]
    while len(ties) > 1:
        ties.append(builder.or_(ties.pop(0), ties.pop(0)))
    bits = ir.IntType(64 * _BLOCKS)
    tied = builder.icmp_unsigned("!=", builder.bitcast(ties[0], bits), bits(0))
    tied = builder.and_(tied, builder.trunc(must_settle, tied.type))
    with builder.if_then(builder.not_(tied), likely=True):
        yield tied, [builder.icmp_signed(">", high, part) for part in digits]


def _emit_lanes(builder, dropped, bits):
    """Each vector's worth of elements of a group: (index of the first, who is dropped)."""
    count = 64 * _BLOCKS // bits
    for part, lanes in enumerate(dropped):
        for j in range(0, 4 * _BLOCKS, count):
            index = ir.IntType(64)(4 * _BLOCKS * part + j)
            if _IS_WIDE:
                yield index, _shuffle(builder, lanes, lanes, range(j, j + count))
                continue
            # Spread as integers, each twice as wide as before: of shuffled bits, or of
            # four of a kind, LLVM makes several times the instructions.
            wide = builder.sext(lanes, ir.VectorType(ir.IntType(16), 16))
            wide = _doubled(builder, wide, _ORDER[j // 8 * 8 :][:8])
            if bits == 64:
                wide = _doubled(builder, wide, range(j % 8, j % 8 + 4))
            yield index, builder.icmp_signed("<", wide, ir.Constant(wide.type, [0] * count))


def _doubled(builder, vector, lanes):
    """Chosen lanes of ones or zeros, each as one of twice the width."""
    vector = _shuffle(builder, vector, vector, [lane for lane in lanes for _ in range(2)])
    width = 2 * vector.type.element.width
    return builder.bitcast(vector, ir.VectorType(ir.IntType(width), len(lanes)))


@_intrinsic
def _fill_group(typingctx, words, i, schedule, block):
    """Write the words of a group from index `i` on."""

    def emit(context, builder, signature, args):
        digits = _emit_digits(context, builder, schedule, args[2], args[3], flipped=False)
        for part, lanes in enumerate(digits):
            index = builder.add(args[1], ir.IntType(64)(part * _BLOCKS))
            place = _vector(context, builder, words, args[0], index, _BLOCKS)
            natural = builder.bitcast(_shuffle(builder, lanes, lanes, _ORDER), place.type.pointee)
            builder.store(natural, place, align=8)
        return context.get_dummy_value()

    return types.none(words, i, schedule, block), emit


@_intrinsic
def _affine_group(typingctx, x, out, begin, schedule, block, high, must_settle, a, b, c):
    """`_affine` of a group, its draws in registers, if no digit of it ties; whether one does."""

    def emit(context, builder, signature, args):
        bits, count = x.dtype.bitwidth, 64 * _BLOCKS // x.dtype.bitwidth
        scale, add, instead = (_splat(builder, value, count) for value in args[7:])
        with _emit_unless_tied(context, builder, schedule, *args[3:7]) as (tied, dropped):
            for j, drop in _emit_lanes(builder, dropped, bits):
                index = builder.add(args[2], j)
                source = _vector(context, builder, x, args[0], index, count)
                target = _vector(context, builder, out, args[1], index, count)
                value = builder.load(source, align=bits // 8)
                value = builder.fadd(builder.fmul(value, scale), add)
                builder.store(builder.select(drop, instead, value), target, align=bits // 8)
        return tied

    return types.boolean(x, out, begin, schedule, block, high, must_settle, a, b, c), emit


@_intrinsic
def _choose_group(typingctx, x, y, out, begin, schedule, block, high, must_settle):
    """`_choose` of a group, as `_affine_group`."""

    def emit(context, builder, signature, args):
        bits, count = x.dtype.bitwidth, 64 * _BLOCKS // x.dtype.bitwidth
        with _emit_unless_tied(context, builder, schedule, *args[4:]) as (tied, dropped):
            for j, drop in _emit_lanes(builder, dropped, bits):
                index = builder.add(args[3], j)
                left, right, target = (
                    _vector(context, builder, array_type, array, index, count)
                    for array_type, array in zip((x, y, out), args, strict=False)
                )
                left = builder.load(left, align=bits // 8)
                right = builder.load(right, align=bits // 8)
                builder.store(builder.select(drop, right, left), target, align=bits // 8)
        return tied

    return types.boolean(x, y, out, begin, schedule, block, high, must_settle), emit


@_intrinsic
def _compare_group(typingctx, out, begin, schedule, block, high, must_settle):
    """`_compare` of a group, as `_affine_group`."""

    def emit(context, builder, signature, args):
        with _emit_unless_tied(context, builder, schedule, *args[2:]) as (tied, dropped):
            for part, lanes in enumerate(dropped):
                index = builder.add(args[1], ir.IntType(64)(4 * _BLOCKS * part))
                target = _vector(context, builder, out, args[0], index, 4 * _BLOCKS)
                kept = builder.not_(_shuffle(builder, lanes, lanes, _ORDER))
                builder.store(builder.zext(kept, target.type.pointee), target, align=1)
        return tied

    return types.boolean(out, begin, schedule, block, high, must_settle), emit


if numba.config.DISABLE_JIT:

    def _folded_groups(schedule, key, stream, block, groups):
        return 0


@_jit
def _generate(words, groups, schedule, key, stream, block):
    """Fill `words` with a stream from a block on, in groups of blocks."""
    folded = _folded_groups(schedule, key, stream, block, groups)
    for group in range(folded):
        _fill_group(words, 2 * _GROUP * group, schedule, block + np.uint64(_GROUP * group))
    for j in range(_GROUP * folded, _GROUP * groups):
        words[2 * j], words[2 * j + 1] = _block(key, stream, block + np.uint64(j))


@_jit
def _refill(words, schedule, per_word, key, stream, offset, first, end):
    """Generate draws from `first` on, a windowful or to `end`; (start, stop) of the window.

    `per_word` is the number of draws in a uint64.
    """
    position = offset + np.uint64(first)
    per_block = 2 * per_word
    lead = np.intp(position % np.uint64(per_block))
    count = min(lead + end - first, _WINDOW)
    groups = -(-count // (per_block * _GROUP))
    _generate(words, groups, schedule, key, stream, position // np.uint64(per_block))
    return first - lead, first - lead + groups * per_block * _GROUP


@_jit
def _draw(words, digits, schedule, place, thresholds, first):
    """Refill the window, its digits set to kept or dropped; (start, stop)."""
    outer, _, inner, key, stream, offset = place
    start, stop = _refill(words, schedule, 4, key, stream, offset, first, outer * inner)
    block = (offset + np.uint64(first)) >> np.uint64(3)
    if thresholds.size > 1 or thresholds[0] > _LOW:
        _settle_each(digits, stop - start, key, stream, block, thresholds, start)
    else:
        _settle(digits, stop - start, key, stream, block, thresholds[0])
    return start, stop


@_jit
def _settle(digits, count, key, stream, block, threshold):
    """Set all digits to kept or dropped."""
    low, limit = threshold & _DIGIT_MASK, np.uint16(threshold >> _DIGIT)
    if low > 0:
        # One digit in 65,536 ties: look for it in pieces, and then in pieces of these.
        for begin in range(0, count, 1024):
            end = min(begin + 1024, count)
            if _any_tie(digits[begin:end], limit):
                for first in range(begin, end, 64):
                    if _any_tie(digits[first : first + 64], limit):
                        for j in range(first, first + 64):
                            if digits[j] == limit:
                                kept = _companion(key, stream, block, j) >= low
                                digits[j] = _KEPT if kept else _DROPPED
        limit = max(limit, np.uint16(1))
    for j in range(count):
        digits[j] = _KEPT if digits[j] >= limit else _DROPPED


@_jit
def _any_tie(digits, high):
    nearest = _KEPT
    for j in range(digits.size):
        nearest = min(nearest, np.uint16(digits[j] ^ high))
    return nearest == 0


@_jit
def _settle_each(digits, count, key, stream, block, thresholds, start):
    """Set all digits to kept or dropped; the first is that of draw `start`."""
    limits = np.empty(_WINDOW, np.uint16)
    size = thresholds.size
    r, filled = start % size, min(size, count)
    for j in range(filled):
        limits[j] = np.uint16(min(thresholds[r] >> _DIGIT, _DIGIT_MASK))
        r = r + 1 if r + 1 < size else 0
    _repeat(limits, filled, count)
    for begin in range(0, count, 64):
        if _any_tie_each(digits, limits, begin):
            for j in range(begin, begin + 64):
                if digits[j] == limits[j]:
                    draw = np.uint64(digits[j]) << _DIGIT | _companion(key, stream, block, j)
                    kept = draw >= thresholds[(start + j) % size]
                    digits[j], limits[j] = (_KEPT, _DROPPED) if kept else (_DROPPED, _KEPT)
    for j in range(count):
        digits[j] = _KEPT if digits[j] >= limits[j] else _DROPPED


@_jit
def _any_tie_each(digits, limits, begin):
    begin, nearest = np.uint64(begin), _KEPT
    for j in range(np.uint64(64)):
        nearest = min(nearest, np.uint16(digits[begin + j] ^ limits[begin + j]))
    return nearest == 0


@_jit
def _companion(key, stream, block, j):
    """Digit `j` of the companion stream, counted from a block."""
    first, second = _block(key, stream ^ _COMPANION, block + np.uint64(j >> 3))
    word = first if j & 4 == 0 else second
    return word >> (_DIGIT * np.uint64(j & 3)) & _DIGIT_MASK


@_jit
def _cycle(values, start, count, out):
    """Values of the draws from `start` on: draw ``d`` takes entry ``d % R``."""
    size = values.size
    r, filled = start % size, min(size, count)
    for j in range(filled):
        out[j] = values[r]
        r = r + 1 if r + 1 < size else 0
    _repeat(out, filled, count)


@_jit
def _repeat(out, filled, count):
    """Repeat the first entries of `out` until `count` are filled."""
    while filled < count:
        more = min(filled, count - filled)
        first = np.uint64(filled)
        for j in range(np.uint64(more)):
            out[first + j] = out[j]
        filled += more


if numba.config.DISABLE_JIT:

    def _copy_lanes(target, j, source, k):
        target[j : j + _LANES] = source[k : k + _LANES]

    def _fill_lanes(target, j, value):
        target[j : j + _LANES] = value

else:

    @_intrinsic
    def _copy_lanes(typingctx, target, j, source, k):
        def emit(context, builder, signature, args):
            value = _vector(context, builder, source, args[2], args[3], _LANES)
            place = _vector(context, builder, target, args[0], args[1], _LANES)
            builder.store(builder.load(value, align=1), place, align=1)
            return context.get_dummy_value()

        return types.none(target, j, source, k), emit

    @_intrinsic
    def _fill_lanes(typingctx, target, j, value):
        def emit(context, builder, signature, args):
            place = _vector(context, builder, target, args[0], args[1], _LANES)
            builder.store(_splat(builder, args[2], _LANES), place, align=1)
            return context.get_dummy_value()

        return types.none(target, j, value), emit


@_jit
def _plan(place, begin, end):
    """The next tile of elements: (first draw, draws, elements, whether to spread them).

    A long row takes its draws straight from the window, as many as it holds;
    short ones are spread over a tile.
    """
    shared, inner = place[1], place[2]
    if shared == 1 or inner > _TILE // 2:
        row = begin // inner
        i = begin - row * inner
        return row // shared * inner + i, 1, min(end - begin, inner - i), False
    count = min(end - begin, _TILE)
    o = begin // (shared * inner)
    last = (begin + count - 1) // (shared * inner)
    return o * inner, (last - o + 1) * inner, count, True


@_jit
def _spread(window, w, tile, place, begin, count):
    """Spread draws over a tile; returns where in it element `begin` stands.

    The draws of its row begin at `w` of the window. Rows are written whole, in
    pieces of 32 elements of which the next row covers what is too much.
    """
    shared, inner = place[1], place[2]
    rest = begin % (shared * inner)
    left = shared - rest // inner
    j = 0
    if inner == 1:
        while j < count:
            n = min(left, count - j)
            _fill_lanes(tile, j, window[w])
            for k in range(_LANES, n, _LANES):
                _fill_lanes(tile, j + k, window[w])
            j, w, left = j + n, w + 1, shared
        return 0
    i = rest % inner
    step = max(_LANES // inner, 1) * inner
    while j < i + count:
        end = j + min(left * inner, i + count - j)
        row = j
        while row < min(j + step, end):
            _copy_lanes(tile, row, window, w)
            for k in range(_LANES, inner, _LANES):
                _copy_lanes(tile, row + k, window, w + k)
            row += inner
        while row < end:
            _copy_lanes(tile, row, tile, j)
            for k in range(_LANES, step, _LANES):
                _copy_lanes(tile, row + k, tile, j + k)
            row += step
        j, w, left = end, w + inner, shared
    return i


# The loops over elements take them by unsigned indices, which need no test for a count
# from the end, and make no slices. What is kept is told by the sign, which alone is
# looked at where vectors are selected. A loop of its own is in place: LLVM's check for
# overlap, made at run time, would send arrays that are one to a scalar copy of the other.


@_jit
def _affine(x, out, begin, count, kept, w, a, b, c):
    begin, w, count = np.uint64(begin), np.uint64(w), np.uint64(count)
    if x.ctypes.data == out.ctypes.data:
        for j in range(count):
            value = a * out[begin + j] + b
            out[begin + j] = value if np.int16(kept[w + j]) < 0 else c
        return
    for j in range(count):
        value = a * x[begin + j] + b
        out[begin + j] = value if np.int16(kept[w + j]) < 0 else c


@_jit
def _affine_each(x, out, begin, count, kept, w, a, b, c):
    begin, w, count = np.uint64(begin), np.uint64(w), np.uint64(count)
    if x.ctypes.data == out.ctypes.data:
        for j in range(count):
            value, other = a[w + j] * out[begin + j] + b[w + j], c[w + j]
            out[begin + j] = value if np.int16(kept[w + j]) < 0 else other
        return
    for j in range(count):
        value, other = a[w + j] * x[begin + j] + b[w + j], c[w + j]
        out[begin + j] = value if np.int16(kept[w + j]) < 0 else other


@_jit
def _choose(x, y, out, begin, count, kept, w):
    begin, w, count = np.uint64(begin), np.uint64(w), np.uint64(count)
    if x.ctypes.data == out.ctypes.data:
        for j in range(count):
            left, right = out[begin + j], y[begin + j]
            out[begin + j] = left if np.int16(kept[w + j]) < 0 else right
        return
    if y.ctypes.data == out.ctypes.data:
        for j in range(count):
            left, right = x[begin + j], out[begin + j]
            out[begin + j] = left if np.int16(kept[w + j]) < 0 else right
        return
    for j in range(count):
        left, right = x[begin + j], y[begin + j]
        out[begin + j] = left if np.int16(kept[w + j]) < 0 else right


@_jit
def _compare(out, begin, count, kept, w):
    begin, w = np.uint64(begin), np.uint64(w)
    for j in range(np.uint64(count)):
        out[begin + j] = kept[w + j] != _DROPPED


@_jit
def _multiply(x, out, begin, count, factor, w):
    begin, w, count = np.uint64(begin), np.uint64(w), np.uint64(count)
    if x.ctypes.data == out.ctypes.data:
        for j in range(count):
            out[begin + j] = out[begin + j] * factor[w + j]
        return
    for j in range(count):
        out[begin + j] = x[begin + j] * factor[w + j]


@_jit
def _widen(normals, count, stddevs):
    """Normals of mean 1 and other standard deviations."""
    one = normals.dtype.type(1)
    for j in range(count):
        normals[j] = one + stddevs[j] * normals[j]


@_jit
def _store(out, begin, count, values, w):
    begin, w = np.uint64(begin), np.uint64(w)
    for j in range(np.uint64(count)):
        out[begin + j] = values[w + j]


@_jit
def _uniforms(words, count, values):
    """Uniforms of the 32-bit words."""
    for j in range(count):
        values[j] = np.float64(np.int32(words[j] >> _TO_ODD | _ODD)) * 2.0**-24


@_jit
def _normals(words, count, values):
    """Box-Muller normals of the 32-bit words, pair by pair, to 1e-9 of the radius.

    Series instead of the C library's functions, which LLVM does not vectorise
    and which took 50 cycles a normal.
    """
    for k in range(count >> 1):
        # u1 = f * 2**e with f between sqrt(1/2) and sqrt(2), and ln f = 2 artanh(t).
        u1 = np.float64(np.int32(words[2 * k] >> _TO_ODD | _ODD)) * 2.0**-24
        bits = np.float64(u1).view(np.int64)
        e = (bits - _SQRT_HALF) >> _MANTISSA
        f = np.int64(bits - (e << _MANTISSA)).view(np.float64)
        t = (f - 1.0) / (f + 1.0)
        q = t * t
        q = 1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11)))))
        radius = sqrt(-2 * (np.float64(np.int32(e)) * _LN_2 + 2 * t * q))
        # u2 turns: quarters, and a rest of at most an eighth either way.
        turn = np.int32(words[2 * k + 1] >> _TO_ODD | _ODD)
        quarter = (turn + (1 << 21)) >> 22
        angle = np.float64(np.int32(turn - (quarter << 22))) * (2 * pi * 2.0**-24)
        p = angle * angle
        sine = 1 - p / 20 * (1 - p / 42 * (1 - p / 72 * (1 - p / 110)))
        sine = angle * (1 - p / 6 * sine)
        cosine = 1 - p / 12 * (1 - p / 30 * (1 - p / 56 * (1 - p / 90)))
        cosine = 1 - p / 2 * cosine
        x, y = (sine, cosine) if quarter & 1 else (cosine, sine)
        values[2 * k] = radius * (-x if (quarter + 1) & 2 else x)
        values[2 * k + 1] = radius * (-y if quarter & 2 else y)


# A part is the elements from `begin` to `end`, on one thread. No slice is made
# in its loop: their reference counts, which are atomic, took 800 cycles a window.


@_jit
def _direct_groups(schedule, place, thresholds, begin, end):
    """Groups of elements from `begin` on that need no window: each its own draw, blocks whole."""
    first = place[5] + np.uint64(begin)
    if place[1] > 1 or first % np.uint64(8) != 0 or thresholds.size > 1 or thresholds[0] > _LOW:
        return 0
    groups = (end - begin) // (8 * _GROUP)
    return _folded_groups(schedule, place[3], place[4], first >> np.uint64(3), groups)


@_jit
def _settle_group(words, schedule, place, threshold, begin):
    """Fill the window with what was kept of a group of elements in which a digit ties."""
    _, _, _, key, stream, offset = place
    block = (offset + np.uint64(begin)) >> np.uint64(3)
    _fill_group(words, 0, schedule, block)
    _settle(words.view(np.uint16), 8 * _GROUP, key, stream, block, threshold)


@_jit
def _affine_groups(x, out, begin, groups, schedule, place, threshold, a, b, c):
    """As many groups as there are or until one must be settled; how many."""
    block = (place[5] + np.uint64(begin)) >> np.uint64(3)
    high = np.int16(threshold >> _DIGIT ^ _SIGN)
    must_settle = threshold & _DIGIT_MASK != 0
    for group in range(groups):
        j, first = begin + 8 * _GROUP * group, block + np.uint64(_GROUP * group)
        if _affine_group(x, out, j, schedule, first, high, must_settle, a, b, c):
            return group
    return groups


@_jit
def _compare_groups(out, begin, groups, schedule, place, threshold):
    block = (place[5] + np.uint64(begin)) >> np.uint64(3)
    high = np.int16(threshold >> _DIGIT ^ _SIGN)
    must_settle = threshold & _DIGIT_MASK != 0
    for group in range(groups):
        j, first = begin + 8 * _GROUP * group, block + np.uint64(_GROUP * group)
        if _compare_group(out, j, schedule, first, high, must_settle):
            return group
    return groups


@_jit
def _choose_groups(x, y, out, begin, groups, schedule, place, threshold):
    block = (place[5] + np.uint64(begin)) >> np.uint64(3)
    high = np.int16(threshold >> _DIGIT ^ _SIGN)
    must_settle = threshold & _DIGIT_MASK != 0
    for group in range(groups):
        j, first = begin + 8 * _GROUP * group, block + np.uint64(_GROUP * group)
        if _choose_group(x, y, out, j, schedule, first, high, must_settle):
            return group
    return groups


@_jit
def _recipe(key, stream, offset):
    """Key, stream and offset as they are; see `_place`."""
    return (
        np.int64(key).view(np.uint64),
        np.int64(stream).view(np.uint64),
        np.int64(offset).view(np.uint64),
    )


@_jit
def _apply_part(args, begin, end):
    x, out, outer, shared, inner, key, stream, offset, threshold, a, b, c = args
    key, stream, offset = _recipe(key, stream, offset)
    place = outer, shared, inner, key, stream, offset
    thresholds = np.full(1, threshold, np.uint64)
    a, b, c = x.dtype.type(a), x.dtype.type(b), x.dtype.type(c)
    schedule = _schedule(key)
    words, tile = np.empty(_WINDOW // 4 + _LANES, np.uint64), np.empty(_TILE_SIZE, np.uint16)
    digits = words.view(np.uint16)
    groups = _direct_groups(schedule, place, thresholds, begin, end)
    while groups > 0:
        done = _affine_groups(x, out, begin, groups, schedule, place, thresholds[0], a, b, c)
        begin, groups = begin + 8 * _GROUP * done, groups - done
        if groups > 0:
            _settle_group(words, schedule, place, thresholds[0], begin)
            _affine(x, out, begin, 8 * _GROUP, digits, 0, a, b, c)
            begin, groups = begin + 8 * _GROUP, groups - 1
    start = stop = 0
    while begin < end:
        first, draws, count, spread = _plan(place, begin, end)
        if first < start or first + draws > stop:
            start, stop = _draw(words, digits, schedule, place, thresholds, first)
        if spread:
            w = _spread(digits, first - start, tile, place, begin, count)
            _affine(x, out, begin, count, tile, w, a, b, c)
        else:
            count = min(count, stop - first)
            _affine(x, out, begin, count, digits, first - start, a, b, c)
        begin += count


@_jit
def _apply_rates_part(args, begin, end):
    x, out, outer, shared, inner, key, stream, offset, thresholds, a, b, c = args
    key, stream, offset = _recipe(key, stream, offset)
    place = outer, shared, inner, key, stream, offset
    schedule = _schedule(key)
    words, tile = np.empty(_WINDOW // 4 + _LANES, np.uint64), np.empty(_TILE_SIZE, np.uint16)
    digits = words.view(np.uint16)
    size = _WINDOW + _LANES
    # The coefficients of the window's draws, and these spread over the tile.
    aw, bw, cw = np.empty(size, x.dtype), np.empty(size, x.dtype), np.empty(size, x.dtype)
    at, bt, ct = np.empty(size, x.dtype), np.empty(size, x.dtype), np.empty(size, x.dtype)
    start = stop = 0
    while begin < end:
        first, draws, count, spread = _plan(place, begin, end)
        if first < start or first + draws > stop:
            start, stop = _draw(words, digits, schedule, place, thresholds, first)
            _cycle(a, start, stop - start, aw)
            _cycle(b, start, stop - start, bw)
            _cycle(c, start, stop - start, cw)
        w = first - start
        if spread:
            _spread(aw, w, at, place, begin, count)
            _spread(bw, w, bt, place, begin, count)
            _spread(cw, w, ct, place, begin, count)
            w = _spread(digits, w, tile, place, begin, count)
            _affine_each(x, out, begin, count, tile, w, at, bt, ct)
        else:
            count = min(count, stop - first)
            _affine_each(x, out, begin, count, digits, w, aw, bw, cw)
        begin += count


@_jit
def _blend_part(args, begin, end):
    x, y, out, outer, shared, inner, key, stream, offset, thresholds = args
    key, stream, offset = _recipe(key, stream, offset)
    place = outer, shared, inner, key, stream, offset
    schedule = _schedule(key)
    words, tile = np.empty(_WINDOW // 4 + _LANES, np.uint64), np.empty(_TILE_SIZE, np.uint16)
    digits = words.view(np.uint16)
    groups = _direct_groups(schedule, place, thresholds, begin, end)
    while groups > 0:
        done = _choose_groups(x, y, out, begin, groups, schedule, place, thresholds[0])
        begin, groups = begin + 8 * _GROUP * done, groups - done
        if groups > 0:
            _settle_group(words, schedule, place, thresholds[0], begin)
            _choose(x, y, out, begin, 8 * _GROUP, digits, 0)
            begin, groups = begin + 8 * _GROUP, groups - 1
    start = stop = 0
    while begin < end:
        first, draws, count, spread = _plan(place, begin, end)
        if first < start or first + draws > stop:
            start, stop = _draw(words, digits, schedule, place, thresholds, first)
        if spread:
            w = _spread(digits, first - start, tile, place, begin, count)
            _choose(x, y, out, begin, count, tile, w)
        else:
            count = min(count, stop - first)
            _choose(x, y, out, begin, count, digits, first - start)
        begin += count


@_jit
def _keep_part(args, begin, end):
    out, key, stream, offset, thresholds = args
    key, stream, offset = _recipe(key, stream, offset)
    place = 1, 1, out.size, key, stream, offset
    schedule = _schedule(key)
    words = np.empty(_WINDOW // 4, np.uint64)
    digits = words.view(np.uint16)
    groups = _direct_groups(schedule, place, thresholds, begin, end)
    while groups > 0:
        done = _compare_groups(out, begin, groups, schedule, place, thresholds[0])
        begin, groups = begin + 8 * _GROUP * done, groups - done
        if groups > 0:
            _settle_group(words, schedule, place, thresholds[0], begin)
            _compare(out, begin, 8 * _GROUP, digits, 0)
            begin, groups = begin + 8 * _GROUP, groups - 1
    while begin < end:
        start, stop = _draw(words, digits, schedule, place, thresholds, begin)
        count = min(stop, end) - begin
        _compare(out, begin, count, digits, begin - start)
        begin += count


@_jit
def _noise_part(args, begin, end):
    out, key, stream, offset, is_normal = args
    key, stream, offset = _recipe(key, stream, offset)
    schedule = _schedule(key)
    words, values = np.empty(_WINDOW // 2, np.uint64), np.empty(_WINDOW, out.dtype)
    while begin < end:
        start, stop = _refill(words, schedule, 2, key, stream, offset, begin, end)
        if is_normal:
            _normals(words.view(np.uint32), stop - start, values)
        else:
            _uniforms(words.view(np.uint32), stop - start, values)
        count = min(stop, end) - begin
        _store(out, begin, count, values, begin - start)
        begin += count


@_jit
def _multiply_normals_part(args, begin, end):
    x, out, outer, shared, inner, key, stream, offset, stddevs = args
    key, stream, offset = _recipe(key, stream, offset)
    place = outer, shared, inner, key, stream, offset
    schedule = _schedule(key)
    words, cycle = np.empty(_WINDOW // 2, np.uint64), np.empty(_WINDOW, x.dtype)
    factor, tile = np.empty(_WINDOW + _LANES, x.dtype), np.empty(_TILE_SIZE, x.dtype)
    start = stop = 0
    while begin < end:
        first, draws, count, spread = _plan(place, begin, end)
        if first < start or first + draws > stop:
            start, stop = _refill(words, schedule, 2, key, stream, offset, first, outer * inner)
            _normals(words.view(np.uint32), stop - start, factor)
            _cycle(stddevs, start, stop - start, cycle)
            _widen(factor, stop - start, cycle)
        if spread:
            w = _spread(factor, first - start, tile, place, begin, count)
            _multiply(x, out, begin, count, tile, w)
        else:
            count = min(count, stop - first)
            _multiply(x, out, begin, count, factor, first - start)
        begin += count


@_jit
def _bounds(part, parts, size):
    """Begin and end of one part of the elements; all but the last end at a whole window."""
    windows = -(-size // _WINDOW)
    begin, end = windows * part // parts * _WINDOW, windows * (part + 1) // parts * _WINDOW
    return begin, min(end, size)


@_jit(parallel=True)
def _apply_team(args, size, parts):
    for part in prange(parts):
        begin, end = _bounds(np.intp(part), parts, size)
        _apply_part(args, begin, end)


@_jit(parallel=True)
def _apply_rates_team(args, size, parts):
    for part in prange(parts):
        begin, end = _bounds(np.intp(part), parts, size)
        _apply_rates_part(args, begin, end)


@_jit(parallel=True)
def _blend_team(args, size, parts):
    for part in prange(parts):
        begin, end = _bounds(np.intp(part), parts, size)
        _blend_part(args, begin, end)


@_jit(parallel=True)
def _keep_team(args, size, parts):
    for part in prange(parts):
        begin, end = _bounds(np.intp(part), parts, size)
        _keep_part(args, begin, end)


@_jit(parallel=True)
def _noise_team(args, size, parts):
    for part in prange(parts):
        begin, end = _bounds(np.intp(part), parts, size)
        _noise_part(args, begin, end)


@_jit(parallel=True)
def _multiply_normals_team(args, size, parts):
    for part in prange(parts):
        begin, end = _bounds(np.intp(part), parts, size)
        _multiply_normals_part(args, begin, end)


def apply(x, out, outer, shared, inner, key, stream, offset, threshold, a, b, c, threads):
    place = _place(outer, shared, inner, key, stream, offset)
    args = _flat(x), _flat(out), *place, threshold, a, b, c
    _run(_apply_part, _apply_team, args, out.size, threads)


def apply_rates(x, out, outer, shared, inner, key, stream, offset, thresholds, a, b, c, threads):
    place = _place(outer, shared, inner, key, stream, offset)
    args = _flat(x), _flat(out), *place, _flat(thresholds), _flat(a), _flat(b), _flat(c)
    _run(_apply_rates_part, _apply_rates_team, args, out.size, threads)


def blend(x, y, out, outer, shared, inner, key, stream, offset, threshold, threads):
    thresholds = np.array([threshold], np.uint64)
    blend_rates(x, y, out, outer, shared, inner, key, stream, offset, thresholds, threads)


def blend_rates(x, y, out, outer, shared, inner, key, stream, offset, thresholds, threads):
    place = _place(outer, shared, inner, key, stream, offset)
    args = _flat(x), _flat(y), _flat(out), *place, _flat(thresholds)
    _run(_blend_part, _blend_team, args, out.size, threads)


def keep(out, key, stream, offset, threshold, threads):
    keep_rates(out, key, stream, offset, np.array([threshold], np.uint64), threads)


def keep_rates(out, key, stream, offset, thresholds, threads):
    place = _signed(key), stream, _signed(offset)
    _run(_keep_part, _keep_team, (_flat(out), *place, _flat(thresholds)), out.size, threads)


def uniforms(out, key, stream, offset, threads):
    place = _signed(key), stream, _signed(offset)
    _run(_noise_part, _noise_team, (_flat(out), *place, False), out.size, threads)


def normals(out, key, stream, offset, threads):
    place = _signed(key), stream, _signed(offset)
    _run(_noise_part, _noise_team, (_flat(out), *place, True), out.size, threads)


def multiply_normals(x, out, outer, shared, inner, key, stream, offset, stddevs, threads):
    place = _place(outer, shared, inner, key, stream, offset)
    args = _flat(x), _flat(out), *place, _flat(stddevs)
    _run(_multiply_normals_part, _multiply_normals_team, args, out.size, threads)


def _run(part, team, args, size, threads):
    if size == 0:
        return
    if numba.config.DISABLE_JIT:
        with np.errstate(all="ignore"):
            part(args, 0, size)
    elif threads > 1 and can_run_parallel():
        team(args, size, threads)
    else:
        part(args, 0, size)


def _place(outer, shared, inner, key, stream, offset):
    """Geometry and recipe in types that do not vary, so that a kernel compiles once.

    They are Python's own: NumPy's scalars take Numba ten times longer to read.
    """
    if shared == 1:
        outer, inner = 1, outer * inner
    return outer, shared, inner, _signed(key), stream, _signed(offset)


def _signed(number):
    """The int64 of the same bits."""
    return number if number < 1 << 63 else number - (1 << 64)


def _flat(array):
    """The array as Numba's writable vectors, for which alone the kernels are compiled."""
    if array.ndim != 1:
        array = array.reshape(-1)
    return array if array.flags.writeable else np.asarray(_Writable(array))


class _Writable:
    """Hands the memory of a read-only array on as if it could be written to."""

    def __init__(self, array):
        self.array = array
        pointer, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (pointer, False)}
