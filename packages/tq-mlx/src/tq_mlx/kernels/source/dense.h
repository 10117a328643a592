// The tokens that were never coded, for one row of queries at a time: 32 tokens side by side, then their values.

namespace tq {

/// Log2 of a weight that is none: finite, so that differences of two are no NaN.
INLINE float lowest() { return -1e30f; }

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

template <int HEAD_DIM, typename T>
INLINE float product(SHARED const float* query, const DEVICE T* key) {
  float sum = 0;
  for (int start = 0; start < HEAD_DIM; start += 16) {
    UNROLL for (int i = start; i < start + 16; i += 4) {
      float x[4];
      load_four(key + i, x);
      UNROLL for (int j = 0; j < 4; j++) sum += query[i + j] * x[j];
    }
  }
  return sum;
}

/// Attend with one query over the dense tokens `first` … `last` - 1, the sink's and then the tail's.
///
/// seen_sink, seen_tail: tokens of each that the query may see. less: what is taken from every score.
template <int HEAD_DIM, typename T>
INLINE DenseSums<HEAD_DIM / 32> attend_dense(
    SHARED const float* query, Dense<T> sink, Dense<T> tail, int first, int last, int seen_sink, int seen_tail,
    float less, int lane) {
  DenseSums<HEAD_DIM / 32> sums;
  sums.maximum = lowest();
  sums.total = 0;
  UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) sums.values.x[i] = 0;
  for (int start = first; start < last; start += 32) {
    const int token = start + lane, in_tail = token - sink.tokens;
    const bool seen = token < last && (in_tail < 0 ? token < seen_sink : in_tail < seen_tail);
    const DEVICE T* key = in_tail < 0 ? sink.keys + token * sink.key_stride : tail.keys + in_tail * tail.key_stride;
    const float score = seen ? product<HEAD_DIM>(query, key) - less : lowest();
    const float maximum = larger(sums.maximum, largest_of_lanes(score));
    const float weight = seen ? exp2_fast(score - maximum) : 0.0f, shrink = exp2_fast(sums.maximum - maximum);
    sums.maximum = maximum;
    sums.total = sums.total * shrink + sum_of_lanes(weight);
    UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) sums.values.x[i] *= shrink;
    const int count = last - start < 32 ? last - start : 32;
    for (int j = 0; j < count; j++) {
      const float share = from_lane(weight, j);
      const int at = start + j - sink.tokens;
      const DEVICE T* value =
          at < 0 ? sink.values + (start + j) * sink.value_stride : tail.values + at * tail.value_stride;
      UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) sums.values.x[i] += share * float(value[32 * i + lane]);
    }
  }
  return sums;
}

}  // namespace tq
