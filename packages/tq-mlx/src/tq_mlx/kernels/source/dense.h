// The tokens that were never coded, for one query at a time. A lane holds the coordinates that rotation.h gives it.

namespace tq {

/// Tokens of the sink or of the tail, of one row of the batch and one KV head.
template <typename T>
struct Dense {
  const DEVICE T* keys;
  const DEVICE T* values;
  int key_stride, value_stride, tokens;
};

/// Softmax of some tokens so far: sums of weights and of weighted values, over 2^maximum.
template <int N>
struct DenseSums {
  float maximum, total;
  Floats<N> values;
};

enum { DENSE_AT_ONCE = 8 };

/// Attend with one query over the dense tokens `first` … `last` - 1, the sink's and then the tail's, eight at a time: all
/// their loads are under way before the first is used.
///
/// seen_sink, seen_tail: tokens of each that the query may see. less: what is taken from every score.
template <int N, typename T>
INLINE DenseSums<N> attend_dense(
    Floats<N> query, Dense<T> sink, Dense<T> tail, int first, int last, int seen_sink, int seen_tail, float less,
    int lane) {
  DenseSums<N> sums;
  sums.maximum = lowest();
  sums.total = 0;
  UNROLL for (int i = 0; i < N; i++) sums.values.x[i] = 0;
  for (int start = first; start < last; start += DENSE_AT_ONCE) {
    Floats<N> keys[DENSE_AT_ONCE], values[DENSE_AT_ONCE];
    bool seen[DENSE_AT_ONCE];
    UNROLL for (int j = 0; j < DENSE_AT_ONCE; j++) {
      const int token = min(start + j, last - 1), in_tail = token - sink.tokens;
      seen[j] = start + j < last && (in_tail < 0 ? token < seen_sink : in_tail < seen_tail);
      keys[j] = load_part<N>(
          in_tail < 0 ? sink.keys + token * sink.key_stride : tail.keys + in_tail * tail.key_stride, lane);
      values[j] = load_part<N>(
          in_tail < 0 ? sink.values + token * sink.value_stride : tail.values + in_tail * tail.value_stride, lane);
    }
    float scores[DENSE_AT_ONCE], maximum = sums.maximum;
    UNROLL for (int j = 0; j < DENSE_AT_ONCE; j++) {
      float sum = 0;
      UNROLL for (int i = 0; i < N; i++) sum += query.x[i] * keys[j].x[i];
      scores[j] = sum_of_lanes(sum) - less;
      if (seen[j]) maximum = larger(maximum, scores[j]);
    }
    const float shrink = exp2_fast(sums.maximum - maximum);
    sums.maximum = maximum;
    sums.total *= shrink;
    UNROLL for (int i = 0; i < N; i++) sums.values.x[i] *= shrink;
    UNROLL for (int j = 0; j < DENSE_AT_ONCE; j++) {
      const float weight = seen[j] ? exp2_fast(scores[j] - maximum) : 0.0f;
      sums.total += weight;
      UNROLL for (int i = 0; i < N; i++) sums.values.x[i] += weight * values[j].x[i];
    }
  }
  return sums;
}

}  // namespace tq
