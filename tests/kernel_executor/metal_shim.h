// What Metal's dialect needs of a GPU and of Metal's library, in C++. This is no Mac: it proves the text, not the compiler.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "fibres.h"

#define device
#define thread
#define threadgroup
#define constant

typedef unsigned int uint;
typedef unsigned short ushort;
typedef unsigned long ulong;
typedef _Float16 half;
typedef half float16_t;

struct bfloat16_t {
  uint16_t bits;
  bfloat16_t() = default;
  explicit bfloat16_t(float x) {
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

template <typename T, int N>
struct vec {
  T element[N];
  T& operator[](int i) { return element[i]; }
  T operator[](int i) const { return element[i]; }
};

template <typename T>
struct vec<T, 2> {
  T x, y;
  vec() = default;
  vec(T a, T b) : x(a), y(b) {}
  T& operator[](int i) { return i ? y : x; }
  T operator[](int i) const { return i ? y : x; }
};

struct alignas(8) uint2 : vec<uint, 2> {};
struct alignas(16) uint4 : vec<uint, 4> {};
typedef vec<half, 2> half2;
typedef vec<float, 2> float2;

template <typename To, typename From>
To as_type(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

struct uint3 {
  uint x, y, z;
};

namespace metal {

using std::abs;
using std::max;
using std::min;
using std::sqrt;

namespace fast {
inline float exp2(float x) { return std::exp2(x); }
inline float log2(float x) { return std::log2(x); }
}  // namespace fast

inline float rsqrt(float x) { return 1 / std::sqrt(x); }

inline half2 fma(half2 a, half2 b, half2 c) {
  return half2(half(std::fma(float(a.x), float(b.x), float(c.x))), half(std::fma(float(a.y), float(b.y), float(c.y))));
}

enum class mem_flags { mem_threadgroup };
inline void threadgroup_barrier(mem_flags) { fibres::barrier(); }
inline void simdgroup_barrier(mem_flags) { fibres::simd_barrier(); }

inline float simd_shuffle(float x, ushort lane) { return fibres::exchange_float(x, lane); }
inline float simd_shuffle_xor(float x, ushort mask) {
  return fibres::exchange_float(x, fibres::current % fibres::LANES ^ mask);
}
inline uint simd_shuffle(uint x, ushort lane) { return as_type<uint>(simd_shuffle(as_type<float>(x), lane)); }
inline uint simd_shuffle_xor(uint x, ushort mask) { return as_type<uint>(simd_shuffle_xor(as_type<float>(x), mask)); }
inline bool simd_any(bool x) {
  const uint32_t said[1] = {x};
  const auto heard = fibres::exchange(said);
  return std::any_of(heard.words, heard.words + fibres::LANES, [](const uint32_t (&w)[1]) { return w[0] != 0; });
}

/// A matrix of 8 × 8 over 32 lanes: a lane holds two neighbours of a row, by the layout of Apple's GPUs.
template <typename T, int R, int C>
struct simdgroup_matrix {
  vec<T, 2> held;
  vec<T, 2>& thread_elements() { return held; }
};

inline int lane_of(int row, int column) {
  return (row & 4) * 4 + (column & 4) * 2 + (row & 3) * 2 + (column & 3) / 2;
}

template <typename A, typename B>
void simdgroup_multiply_accumulate(
    simdgroup_matrix<float, 8, 8>& d, simdgroup_matrix<A, 8, 8> a, simdgroup_matrix<B, 8, 8> b,
    simdgroup_matrix<float, 8, 8> c) {
  const float left[2] = {float(a.held.x), float(a.held.y)}, right[2] = {float(b.held.x), float(b.held.y)};
  uint32_t said[4];
  std::memcpy(said, left, 8);
  std::memcpy(said + 2, right, 8);
  const auto heard = fibres::exchange(said);
  const int lane = fibres::current % fibres::LANES, quad = lane / 4;
  const int row = (quad & 4) + lane / 2 % 4, column = (quad & 2) * 2 + lane % 2 * 2;
  for (int i = 0; i < 2; i++) {
    float sum = c.held[i];
    for (int k = 0; k < 8; k++) {
      float x, y;
      std::memcpy(&x, &heard.words[lane_of(row, k)][k % 2], 4);
      std::memcpy(&y, &heard.words[lane_of(k, column + i)][2 + (column + i) % 2], 4);
      sum += x * y;
    }
    d.held[i] = sum;
  }
}

}  // namespace metal

using namespace metal;
