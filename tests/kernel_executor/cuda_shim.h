// What CUDA's dialect needs of a GPU, in C++: the instructions of cuda_instructions.h, which this file stands for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "fibres.h"

using std::min;

struct Index {
  struct {
    operator unsigned() const { return unsigned(fibres::current); }
  } x;
};
inline Index threadIdx;
struct {
  unsigned x, y, z;
} blockIdx;

#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __syncthreads fibres::barrier
#define __syncwarp fibres::simd_barrier

typedef unsigned int word;
typedef unsigned short half_bits;
typedef _Float16 __half;

struct __nv_bfloat16 {
  uint16_t bits;
  __nv_bfloat16() = default;
  explicit __nv_bfloat16(float x) {
    uint32_t wide;
    std::memcpy(&wide, &x, 4);
    bits = uint16_t((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
  }
  explicit operator float() const {
    const uint32_t wide = uint32_t(bits) << 16;
    float x;
    std::memcpy(&x, &wide, 4);
    return x;
  }
};

inline float __uint_as_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

namespace tq {

inline float half_of(word pair, int i) {
  const uint16_t bits = uint16_t(pair >> (16 * i));
  _Float16 x;
  std::memcpy(&x, &bits, 2);
  return float(x);
}

inline word pack_halves(float low, float high) {
  const _Float16 halves[2] = {_Float16(low), _Float16(high)};
  word pair;
  std::memcpy(&pair, halves, 4);
  return pair;
}

inline float low_half(word pair) { return half_of(pair, 0); }

/// mma.sync m16n8k16: a holds (row, 2k), (row + 8, 2k), (row, 2k + 8), (row + 8, 2k + 8); b the columns' pairs.
inline void multiply_accumulate(float (&c)[4], const word (&a)[4], const word (&b)[2]) {
  const word said[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const auto heard = fibres::exchange(said);
  const int lane = fibres::current % fibres::LANES;
  for (int i = 0; i < 4; i++) {
    const int row = lane / 4 + 8 * (i >> 1), column = 2 * (lane % 4) + (i & 1);
    for (int k = 0; k < 16; k++) {
      const word left = heard.words[row % 8 * 4 + k % 8 / 2][row / 8 + 2 * (k / 8)];
      const word right = heard.words[column * 4 + k % 8 / 2][4 + k / 8];
      c[i] += half_of(left, k % 2) * half_of(right, k % 2);
    }
  }
}

inline word transposed(word pair) {
  const word said[1] = {pair};
  const auto heard = fibres::exchange(said);
  const int lane = fibres::current % fibres::LANES, row = lane / 4, column = 2 * (lane % 4);
  word result = 0;
  for (int i = 0; i < 2; i++) {
    const word from = heard.words[(column + i) * 4 + row / 2][0];
    result |= (from >> (16 * (row % 2)) & 0xffffu) << (16 * i);
  }
  return result;
}

inline word fused_multiply_add(word pair, word factor, word term) {
  return pack_halves(
      std::fma(half_of(pair, 0), half_of(factor, 0), half_of(term, 0)),
      std::fma(half_of(pair, 1), half_of(factor, 1), half_of(term, 1)));
}

inline float exp2_fast(float x) { return std::exp2(x); }
inline float log2_fast(float x) { return std::log2(x); }
inline float reciprocal_root(float x) { return 1 / std::sqrt(x); }
inline float square_root(float x) { return std::sqrt(x); }
inline float larger(float a, float b) { return std::fmax(a, b); }
inline float magnitude(float x) { return std::fabs(x); }
inline word masked_or(word x, word mask, word extra) { return (x & mask) | extra; }
inline word byte_of(word x, int index) { return (x >> (8 * index)) & 0xff; }
inline word shared_word(const word* table, word index) { return table[index]; }
inline word join_low(word low, word high) { return (low & 0xffffu) | (high << 16); }
inline word join_high(word low, word high) { return (low >> 16) | (high & 0xffff0000u); }
inline word funnel(word low, word high, int shift) { return word((uint64_t(high) << 32 | low) >> shift); }
inline float from_lane(float x, int lane) { return fibres::exchange_float(x, lane); }
inline float from_lane_xor(float x, int mask) {
  return fibres::exchange_float(x, fibres::current % fibres::LANES ^ mask);
}
inline word from_lane(word x, int lane) { return __float_as_uint(from_lane(__uint_as_float(x), lane)); }
inline word from_lane_xor(word x, int mask) { return __float_as_uint(from_lane_xor(__uint_as_float(x), mask)); }
inline bool any_lane(bool x) {
  const word said[1] = {x};
  const auto heard = fibres::exchange(said);
  return std::any_of(heard.words, heard.words + fibres::LANES, [](const word (&w)[1]) { return w[0] != 0; });
}
inline void load_4(const word* from, word* to) {
  if (reinterpret_cast<uintptr_t>(from) % 16) std::abort();
  std::copy(from, from + 4, to);
}
inline void load_2(const word* from, word* to) {
  if (reinterpret_cast<uintptr_t>(from) % 8) std::abort();
  std::copy(from, from + 2, to);
}

/// Threadgroups run one after the other here: the last of them is the last to arrive.
inline bool arrives_last(const word* ticket, int count, int index, word* arrival) {
  fibres::barrier();
  if (index == 0) {
    word& counted = *const_cast<word*>(ticket);
    *arrival = counted;
    counted = int(counted) == count - 1 ? 0 : counted + 1;
  }
  fibres::barrier();
  return int(*arrival) == count - 1;
}

}  // namespace tq
