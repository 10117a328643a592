// The seeded Hadamard rotation of one vector spread over 32 lanes: coordinates N · lane … N · lane + N - 1 in x.

namespace tq {

/// Queries of one KV head that a threadgroup attends with.
enum { QUERIES = 8 };

template <int N>
struct Floats {
  float x[N];
};

template <int N, typename T>
INLINE Floats<N> load_part(const DEVICE T* vector, int lane) {
  Floats<N> part;
  load_floats<N>(vector + N * lane, part.x);
  return part;
}

/// The normalised Hadamard transform of 32 · N coordinates, which is its own inverse.
template <int N>
INLINE Floats<N> hadamard(Floats<N> y, int lane) {
  UNROLL for (int step = 1; step < N; step *= 2) {
    UNROLL for (int i = 0; i < N; i++) {
      if (!(i & step)) {
        const float a = y.x[i], b = y.x[i + step];
        y.x[i] = a + b;
        y.x[i + step] = a - b;
      }
    }
  }
  UNROLL for (int bit = 1; bit < 32; bit *= 2) {
    UNROLL for (int i = 0; i < N; i++) {
      const float other = from_lane_xor(y.x[i], bit);
      y.x[i] = lane & bit ? other - y.x[i] : y.x[i] + other;
    }
  }
  const float norm = reciprocal_root(32 * N);
  UNROLL for (int i = 0; i < N; i++) y.x[i] *= norm;
  return y;
}

/// Multiply each coordinate with its sign: before the transform on the way in, behind it on the way back.
template <int N>
INLINE Floats<N> flipped(Floats<N> x, Floats<N> signs) {
  UNROLL for (int i = 0; i < N; i++) x.x[i] *= signs.x[i];
  return x;
}

/// Log2 of a weight that is none: finite, so that differences of two are no NaN.
INLINE float lowest() { return -1e30f; }

INLINE float sum_of_lanes(float x) {
  UNROLL for (int bit = 16; bit; bit /= 2) x += from_lane_xor(x, bit);
  return x;
}

INLINE float largest_of_lanes(float x) {
  UNROLL for (int bit = 16; bit; bit /= 2) x = larger(x, from_lane_xor(x, bit));
  return x;
}

}  // namespace tq
