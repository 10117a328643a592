// Metal's dialect of the kernels' shared text.

#include <metal_simdgroup_matrix>

#define DEVICE device
#define SHARED threadgroup
#define THREAD thread
#define INLINE inline
#define STATIC_CONSTANT static constant constexpr const
#define SHARED_ARRAY(type, name, size) threadgroup type name[size]
#define UNROLL _Pragma("clang loop unroll(full)")
#define BARRIER() threadgroup_barrier(mem_flags::mem_threadgroup)

typedef uint word;
typedef ushort half_bits;

namespace tq {

using namespace metal;

/// pair · factor + term, of both halves; halves travel in pairs, as the bits of a word.
INLINE word fused_multiply_add(word pair, word factor, word term) {
  return as_type<word>(fma(as_type<half2>(pair), as_type<half2>(factor), as_type<half2>(term)));
}

/// Two floats rounded to halves: the first in the low half.
INLINE word pack_halves(float low, float high) { return as_type<word>(half2(half(low), half(high))); }

INLINE float low_half(word pair) { return float(as_type<half2>(pair).x); }

INLINE float exp2_fast(float x) { return fast::exp2(x); }
INLINE float log2_fast(float x) { return fast::log2(x); }
INLINE float reciprocal_root(float x) { return rsqrt(x); }
INLINE float square_root(float x) { return sqrt(x); }
INLINE float larger(float a, float b) { return max(a, b); }
INLINE float magnitude(float x) { return abs(x); }
INLINE float as_float(word bits) { return as_type<float>(bits); }
INLINE word as_word(float x) { return as_type<word>(x); }

/// (x & mask) | extra
INLINE word masked_or(word x, word mask, word extra) { return (x & mask) | extra; }

/// Byte `index` of a word.
INLINE word byte_of(word x, int index) { return (x >> (8 * index)) & 0xffu; }

/// The low, or high, halves of two words side by side.
INLINE word join_low(word low, word high) { return (low & 0xffffu) | (high << 16); }
INLINE word join_high(word low, word high) { return (low >> 16) | (high & 0xffff0000u); }

/// The 32 bits from bit `shift` (below 32) of high:low on.
INLINE word funnel(word low, word high, int shift) { return word(((ulong(high) << 32) | ulong(low)) >> ulong(shift)); }

INLINE float from_lane(float x, int lane) { return simd_shuffle(x, ushort(lane)); }
INLINE word from_lane(word x, int lane) { return simd_shuffle(x, ushort(lane)); }
INLINE float from_lane_xor(float x, int mask) { return simd_shuffle_xor(x, ushort(mask)); }
INLINE word from_lane_xor(word x, int mask) { return simd_shuffle_xor(x, ushort(mask)); }
INLINE bool any_lane(bool x) { return simd_any(x); }

// The matrix units take matrices of 8 × 8, spread over 32 lanes: each lane holds a pair of elements of one row.

typedef simdgroup_matrix<half, 8, 8> Halves;
typedef simdgroup_matrix<float, 8, 8> Singles;

/// Operand of 16 × 16 halves: pairs at (row, k), (row + 8, k), (row, k + 8), (row + 8, k + 8) with k = 2 · column.
struct LeftOperand {
  word x[4];
};

/// Operand of 16 × 8 halves.
struct RightOperand {
  word x[2];
};

/// 16 × 8 floats: x[0], x[1] at row and columns 2 · column, 2 · column + 1; x[2], x[3] eight rows below.
struct Tile {
  float x[4];
};

/// Row (0 … 7) and column pair (0 … 3) of a lane.
struct Place {
  int row, column;
};

INLINE Place place_of(int lane) {
  const int quad = lane / 4;
  return Place{(quad & 4) + lane / 2 % 4, (quad & 2) + lane % 2};
}

/// Where element i (0 … 3) of a lane's RightOperand sits in the 16 × 8 matrix: here the operand is held by rows.
INLINE int right_row(Place place, int i) { return place.row + 8 * (i >> 1); }
INLINE int right_column(Place place, int i) { return 2 * place.column + (i & 1); }

INLINE Halves halves_of(word pair) {
  Halves matrix;
  matrix.thread_elements() = as_type<half2>(pair);
  return matrix;
}

INLINE void accumulate(THREAD Tile& c, THREAD const LeftOperand& a, THREAD const RightOperand& b) {
  const Halves upper = halves_of(b.x[0]), lower = halves_of(b.x[1]);
  UNROLL for (int half_tile = 0; half_tile < 2; half_tile++) {
    Singles sums;
    sums.thread_elements() = float2(c.x[2 * half_tile], c.x[2 * half_tile + 1]);
    simdgroup_multiply_accumulate(sums, halves_of(a.x[half_tile]), upper, sums);
    simdgroup_multiply_accumulate(sums, halves_of(a.x[half_tile + 2]), lower, sums);
    c.x[2 * half_tile] = sums.thread_elements()[0];
    c.x[2 * half_tile + 1] = sums.thread_elements()[1];
  }
}

/// The RightOperand whose rows 0 … 7 and 8 … 15 lie as a Tile's: pairs at (row, 2 · column) and (row + 8, 2 · column).
INLINE RightOperand right_operand(word upper, word lower) { return RightOperand{{upper, lower}}; }

/// Largest, and sum, over the lanes that share a column.
INLINE float largest_of_rows(float x) {
  x = larger(x, from_lane_xor(x, 2));
  x = larger(x, from_lane_xor(x, 4));
  return larger(x, from_lane_xor(x, 16));
}

INLINE float sum_of_rows(float x) {
  x += from_lane_xor(x, 2);
  x += from_lane_xor(x, 4);
  return x + from_lane_xor(x, 16);
}

INLINE word shared_word(SHARED const word* table, word index) { return table[index]; }

/// Load N consecutive elements.
template <int N, typename T>
INLINE void load_floats(const DEVICE T* from, THREAD float* to) {
  UNROLL for (int i = 0; i < N; i++) to[i] = float(from[i]);
}

/// Load N words; `from` is aligned to the largest of 16, 8 and 4 bytes that divides them.
template <int N>
INLINE void load_words(const DEVICE word* from, THREAD word* to) {
  UNROLL for (int i = 0; i < N; i += N % 4 == 0 ? 4 : N % 2 == 0 ? 2 : 1) {
    if (N % 4 == 0) {
      const uint4 four = *(const DEVICE uint4*)(from + i);
      UNROLL for (int j = 0; j < 4; j++) to[i + j] = four[j];
    } else if (N % 2 == 0) {
      const uint2 two = *(const DEVICE uint2*)(from + i);
      to[i] = two[0];
      to[i + 1] = two[1];
    } else {
      to[i] = from[i];
    }
  }
}

}  // namespace tq
