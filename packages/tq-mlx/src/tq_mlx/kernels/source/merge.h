// The splits of a history merged, for the queries of one threadgroup of the first pass.

namespace tq {

enum { SPLITS_AT_ONCE = 8 };

/// Add up, for one query, every `step`-th split from `first` on: over 2^maximum. Returns the total weight.
///
/// Several at a time, whose loads are all under way before the first is used.
template <int N>
INLINE float merge_some(
    const DEVICE float* sums, const DEVICE float* statistics, int splits, int first, int step, float maximum,
    THREAD Floats<N>& total, int lane) {
  float weight = 0;
  for (int start = first; start < splits; start += SPLITS_AT_ONCE * step) {
    Floats<N> part[SPLITS_AT_ONCE];
    float power[SPLITS_AT_ONCE], weights[SPLITS_AT_ONCE];
    UNROLL for (int j = 0; j < SPLITS_AT_ONCE; j++) {
      const int split = min(start + j * step, splits - 1);
      part[j] = load_part<N>(sums + split * QUERIES * 32 * N, lane);
      power[j] = statistics[split * QUERIES * 2];
      weights[j] = statistics[split * QUERIES * 2 + 1];
    }
    UNROLL for (int j = 0; j < SPLITS_AT_ONCE; j++) {
      const float shrink = start + j * step < splits ? exp2_fast(power[j] - maximum) : 0.0f;
      weight += weights[j] * shrink;
      UNROLL for (int i = 0; i < N; i++) total.x[i] += part[j].x[i] * shrink;
    }
  }
  return weight;
}

/// Merge all splits of up to eight queries, rotate the sums back and divide them by the total weight.
///
/// sums [splits, QUERIES, 32 · N], statistics [splits, QUERIES, 2]: what the splits found. Groups of lanes share a query
/// where there are more of them than queries; shared_sums [SIMDS, 32 · N] and shared_weights [SIMDS] are theirs.
template <int N, int SIMDS, typename T>
INLINE void merge_splits(
    const DEVICE float* sums, const DEVICE float* statistics, int splits, int queries, const DEVICE float* signs,
    SHARED float* shared_sums, SHARED float* shared_weights, DEVICE T* out, int index) {
  const int lane = index % 32, simd = index / 32;
  const int shares = queries < SIMDS ? SIMDS / queries : 1, at_once = SIMDS / shares;
  for (int first = 0; first < queries; first += at_once) {
    const int query = first + simd / shares, share = simd % shares;
    const bool live = simd / shares < at_once && query < queries;
    Floats<N> total;
    UNROLL for (int i = 0; i < N; i++) total.x[i] = 0;
    float weight = 0;
    if (live) {
      const DEVICE float* found = statistics + query * 2;
      float maximum = lowest();
      for (int split = lane; split < splits; split += 32) maximum = larger(maximum, found[split * QUERIES * 2]);
      weight = merge_some<N>(
          sums + query * 32 * N, found, splits, share, shares, largest_of_lanes(maximum), total, lane);
      UNROLL for (int i = 0; i < N; i++) shared_sums[simd * 32 * N + N * lane + i] = total.x[i];
      shared_weights[simd] = weight;
    }
    BARRIER();
    if (live && share == 0) {
      for (int other = simd + 1; other < simd + shares; other++) {
        UNROLL for (int i = 0; i < N; i++) total.x[i] += shared_sums[other * 32 * N + N * lane + i];
        weight += shared_weights[other];
      }
      total = flipped(hadamard(total, lane), load_part<N>(signs, lane));
      UNROLL for (int i = 0; i < N; i++) out[query * 32 * N + N * lane + i] = T(total.x[i] / weight);
    }
    BARRIER();
  }
}

}  // namespace tq
