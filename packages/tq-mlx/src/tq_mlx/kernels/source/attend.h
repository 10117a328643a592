// The first pass: eight queries that share a KV head attend over one split of the history.
//
// A split is a run of coded tokens and a share of the dense ones. Each group of 32 lanes takes every so manieth tile of
// the run; what they found is merged at the end, in rotated space, as sums over a common power of two.

namespace tq {

/// What a split is about.
struct Split {
  int first_query, queries;         // of the KV head's group · length rows
  int group_length;                 // new tokens per row
  int begin, end;                   // coded tokens
  int dense_begin, dense_end;       // dense tokens, the sink's and then the tail's
  int packed, tokens;               // coded tokens, and all tokens, of this row of the batch
  int block_shift, gone;            // log2 of the tokens that share a mean, and those dropped from the first block
  bool causal;

  /// How many of the tokens query `row` may see.
  INLINE int seen(int row) const {
    const int newest = (first_query + row) % group_length;
    return causal ? tokens - group_length + newest + 1 : tokens;
  }
};

/// Memory that the lanes of a threadgroup share.
struct Scratch {
  SHARED float* plain;    // [QUERIES, HEAD_DIM] the queries, later the sums of the dense values, rotated
  SHARED float* rotated;  // [QUERIES, HEAD_DIM] the rotated queries, later the sums of the coded values
  SHARED float* shifts;   // [blocks, QUERIES] what the scores of a block's tokens lack
  SHARED float* stats;    // [SIMDS + 1, QUERIES, 2] maximum and total of each group of lanes, and of the dense tokens
  SHARED float* peaks;    // [QUERIES] largest coordinate of each rotated query
  SHARED float* offsets;  // [QUERIES]
};

INLINE int clamped(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

/// Read one query, keep it as it is and rotated.
template <class V, typename T>
INLINE void prepare_query(
    const DEVICE T* query, bool live, float factor, const DEVICE float* signs, int row, Scratch scratch, int lane) {
  Floats<V::HEAD_DIM / 32> x;
  UNROLL for (int i = 0; i < V::HEAD_DIM / 32; i++) {
    x.x[i] = live ? float(query[32 * i + lane]) * factor : 0.0f;
    scratch.plain[row * V::HEAD_DIM + 32 * i + lane] = x.x[i];
  }
  x = hadamard(flipped(x, signs, lane), lane);
  float peak = 0;
  UNROLL for (int i = 0; i < V::HEAD_DIM / 32; i++) {
    scratch.rotated[row * V::HEAD_DIM + 32 * i + lane] = x.x[i];
    peak = larger(peak, magnitude(x.x[i]));
  }
  scratch.peaks[row] = largest_of_lanes(peak);
}

/// The power of two that brings all rotated queries into [-1, 1].
INLINE float unit_of(SHARED const float* peaks) {
  float peak = 0;
  UNROLL for (int row = 0; row < QUERIES; row++) peak = larger(peak, peaks[row]);
  return peak > 1e-30f ? as_float((as_word(peak) + 0x007fffffu) & 0x7f800000u) : 1.0f;
}

/// 1 / unit, of a power of two.
INLINE float inverse(float unit) { return as_float(0x7f000000u - as_word(unit)); }

/// Sum the query's coordinates as the halves they are multiplied as.
template <class V>
INLINE float sum_of_halves(SHARED const float* query, float unit, int lane) {
  float sum = 0;
  UNROLL for (int i = 0; i < V::HEAD_DIM / 32; i++) {
    const float x = query[32 * i + lane] * inverse(unit);
    sum += V::EXACT ? x : low_half(pack_halves(x, x));
  }
  return sum_of_lanes(sum);
}

template <class V>
INLINE Queries<V> load_queries(Scratch scratch, float unit, float key_step, Place place) {
  Queries<V> queries;
  UNROLL for (int step = 0; step < V::STEPS; step++) {
    float x[4];
    UNROLL for (int i = 0; i < 4; i++) {
      const int coordinate = key_coordinate<V>(step, right_row(place, i));
      x[i] = scratch.rotated[right_column(place, i) * V::HEAD_DIM + coordinate] * inverse(unit);
    }
    const word low = pack_halves(x[0], x[1]), high = pack_halves(x[2], x[3]);
    queries.part[step] = RightOperand{{low, high}};
    if (V::EXACT) {
      queries.rest[V::EXACT ? step : 0] = RightOperand{
          {pack_halves(x[0] - low_half(low), x[1] - low_half(low >> 16)),
           pack_halves(x[2] - low_half(high), x[3] - low_half(high >> 16))}};
    }
  }
  UNROLL for (int i = 0; i < 2; i++) queries.offset[i] = scratch.offsets[2 * place.column + i];
  queries.scale = unit * key_step;
  return queries;
}

/// Attend over the split's dense tokens with one query; leaves their rotated sums where the query was.
template <class V, typename T>
INLINE void attend_dense_row(
    THREAD const Split& split, Dense<T> sink, Dense<T> tail, const DEVICE float* mean, const DEVICE float* signs, int row,
    SHARED float* stats, Scratch scratch, int lane) {
  SHARED float* query = scratch.plain + row * V::HEAD_DIM;
  float less = 0;  // a constant that the scores of coded tokens lack
  UNROLL for (int i = 0; i < V::HEAD_DIM / 32; i++) less += query[32 * i + lane] * mean[32 * i + lane];
  const int seen = split.seen(row);
  const DenseSums<V::HEAD_DIM / 32> sums = attend_dense<V::HEAD_DIM>(
      query, sink, tail, split.dense_begin, split.dense_end, min(seen, sink.tokens), seen - sink.tokens - split.packed,
      sum_of_lanes(less), lane);
  const Floats<V::HEAD_DIM / 32> rotated = hadamard(flipped(sums.values, signs, lane), lane);
  SIMD_BARRIER();
  UNROLL for (int i = 0; i < V::HEAD_DIM / 32; i++) query[32 * i + lane] = rotated.x[i];
  stats[2 * row] = sums.maximum;
  stats[2 * row + 1] = sums.total;
}

/// Scores of the blocks' deviations from the mean key, which are coded like keys.
template <class V, int SIMDS>
INLINE void score_blocks(
    THREAD const Split& split, Coded deviations, THREAD const Queries<V>& queries, Tables tables, SHARED float* shifts,
    int simd, Place place) {
  const int first = (split.gone + split.begin) >> split.block_shift;
  const int last = (split.gone + split.end - 1) >> split.block_shift;
  for (int block = first + simd * TOKENS; block <= last; block += SIMDS * TOKENS) {
    const Tile scores = scores_of<V>(fetch_keys<V, false>(deviations, block, last - block + 1, place), queries, tables, place);
    UNROLL for (int i = 0; i < 4; i++) {
      const int at = block - first + place.row + 8 * (i >> 1);
      if (at <= last - first) shifts[at * QUERIES + 2 * place.column + (i & 1)] = scores.x[i];
    }
  }
}

/// Add what a block's tokens lack to their scores, and hide tokens that a query may not see.
template <bool SHIFTED>
INLINE void complete(
    THREAD Tile& scores, THREAD const Split& split, SHARED const float* shifts, int start, int seen_by_all,
    THREAD const int* seen, Place place) {
  UNROLL for (int below = 0; below < 2; below++) {
    const int token = start + place.row + 8 * below;
    if (SHIFTED) {
      const int at = ((split.gone + token) >> split.block_shift) - ((split.gone + split.begin) >> split.block_shift);
      UNROLL for (int i = 0; i < 2; i++) {
        scores.x[2 * below + i] += shifts[at * QUERIES + 2 * place.column + i];
      }
    }
    if (start + TOKENS > seen_by_all) {
      UNROLL for (int i = 0; i < 2; i++) {
        if (token >= seen[i]) scores.x[2 * below + i] = 2 * lowest();
      }
    }
  }
}

/// Attend over the split's coded tokens: every SIMDS-th tile of them. Loads run one tile ahead of their use.
template <class V, int SIMDS, bool SHIFTED>
INLINE Sums<V> attend_coded(
    THREAD const Split& split, Coded keys, Coded values, FetchedKeys<V> next_keys, FetchedValues<V> next_values,
    THREAD const Queries<V>& queries, Tables tables, SHARED const float* shifts, int sink, int simd, Place place) {
  int seen[2];
  UNROLL for (int i = 0; i < 2; i++) {
    seen[i] = min(split.seen(2 * place.column + i) - sink, split.end);
  }
  const int seen_by_all = split.causal ? min(split.end, split.tokens - split.group_length + 1 - sink) : split.end;
  Sums<V> sums = no_sums<V>();
  for (int start = split.begin + simd * TOKENS; start < split.end; start += SIMDS * TOKENS) {
    const FetchedKeys<V> fetched_keys = next_keys;
    const FetchedValues<V> fetched_values = next_values;
    const int next = start + SIMDS * TOKENS;
    if (next < split.end) {
      fetch<V>(keys, values, next, split.end - next, place, next_keys, next_values);
    }
    Tile scores = scores_of<V>(fetched_keys, queries, tables, place);
    complete<SHIFTED>(scores, split, shifts, start, seen_by_all, seen, place);
    add<V>(sums, scores, fetched_values, tables, place);
  }
  return sums;
}

/// Merge what all groups of lanes found and write it: sums [QUERIES, HEAD_DIM], and maximum and total [QUERIES, 2].
template <class V, int SIMDS>
INLINE void write_merged(
    THREAD Sums<V>& sums, float value_step, Scratch scratch, DEVICE float* out_sums, DEVICE float* out_stats,
    int index, int simd, int lane, Place place) {
  UNROLL for (int i = 0; i < 2; i++) {
    const float total = sum_of_rows(sums.total[i]), weight = sum_of_rows(sums.weight[i]);
    if (!V::VALUE_TABLE) {
      UNROLL for (int step = 0; step < V::STEPS; step++) {
        sums.values[step].x[i] += 0.5f * weight;
        sums.values[step].x[i + 2] += 0.5f * weight;
      }
    }
    if (place.row == 0) {
      SHARED float* stats = scratch.stats + (simd * QUERIES + 2 * place.column + i) * 2;
      stats[0] = sums.maximum[i];
      stats[1] = total;
    }
  }
  BARRIER();
  float common[2];
  UNROLL for (int i = 0; i < 2; i++) {
    common[i] = lowest();
    for (int part = 0; part <= SIMDS; part++) {
      common[i] = larger(common[i], scratch.stats[(part * QUERIES + 2 * place.column + i) * 2]);
    }
  }
  rescale(sums, common[0], common[1]);
  for (int turn = 0; turn < SIMDS; turn++) {
    if (turn == simd) {
      UNROLL for (int step = 0; step < V::STEPS; step++) {
        UNROLL for (int i = 0; i < 4; i++) {
          SHARED float* slot = scratch.rotated + (step * 4 + i) * 32 + lane;
          *slot = turn ? *slot + sums.values[step].x[i] : sums.values[step].x[i];
        }
      }
    }
    BARRIER();
  }
  for (int step = simd; step < V::STEPS; step += SIMDS) {
    UNROLL for (int i = 0; i < 4; i++) {
      const int query = 2 * place.column + (i & 1), coordinate = value_coordinate<V>(step, place.row, i >> 1);
      const float shrink = exp2_fast(scratch.stats[(SIMDS * QUERIES + query) * 2] - common[i & 1]);
      out_sums[query * V::HEAD_DIM + coordinate] =
          scratch.rotated[(step * 4 + i) * 32 + lane] * value_step +
          scratch.plain[query * V::HEAD_DIM + coordinate] * shrink;
    }
  }
  if (index < QUERIES) {
    float maximum = lowest(), total = 0;
    for (int part = 0; part <= SIMDS; part++) maximum = larger(maximum, scratch.stats[(part * QUERIES + index) * 2]);
    for (int part = 0; part <= SIMDS; part++) {
      SHARED const float* stats = scratch.stats + (part * QUERIES + index) * 2;
      total += stats[1] * exp2_fast(stats[0] - maximum);
    }
    out_stats[2 * index] = maximum;
    out_stats[2 * index + 1] = total;
  }
}

template <class V, int SIMDS, bool SHIFTED, typename T>
INLINE void attend_split(
    THREAD const Split& split, const DEVICE T* queries, int head_stride, int token_stride, Coded keys, Coded values,
    Coded deviations, Dense<T> sink, Dense<T> tail, const DEVICE float* signs, const DEVICE float* mean,
    const DEVICE float* factors, Tables tables, Scratch scratch, DEVICE float* out_sums, DEVICE float* out_stats,
    int index) {
  const int lane = index % 32, simd = index / 32;
  const Place place = place_of(lane);
  FetchedKeys<V> first_keys;
  FetchedValues<V> first_values;
  const int start = split.begin + simd * TOKENS;
  if (start < split.end) {  // before anything waits
    fetch<V>(keys, values, start, split.end - start, place, first_keys, first_values);
  }
  for (int row = simd; row < QUERIES; row += SIMDS) {
    const int at = split.first_query + row;
    const DEVICE T* query = queries + (at / split.group_length) * head_stride + (at % split.group_length) * token_stride;
    prepare_query<V>(query, row < split.queries, factors[0], signs, row, scratch, lane);
  }
  BARRIER();
  const float unit = unit_of(scratch.peaks);
  for (int row = simd; row < QUERIES; row += SIMDS) {
    const float sum = V::KEY_TABLE ? 0.0f : sum_of_halves<V>(scratch.rotated + row * V::HEAD_DIM, unit, lane);
    scratch.offsets[row] = 0.5f * sum;
    SHARED float* stats = scratch.stats + SIMDS * QUERIES * 2;
    attend_dense_row<V>(split, sink, tail, mean, signs, row, stats, scratch, lane);
  }
  BARRIER();
  const Queries<V> prepared = load_queries<V>(scratch, unit, factors[1], place);
  if (SHIFTED && split.begin < split.end) {
    score_blocks<V, SIMDS>(split, deviations, prepared, tables, scratch.shifts, simd, place);
  }
  BARRIER();
  Sums<V> sums = attend_coded<V, SIMDS, SHIFTED>(
      split, keys, values, first_keys, first_values, prepared, tables, scratch.shifts, sink.tokens, simd, place);
  write_merged<V, SIMDS>(sums, factors[2], scratch, out_sums, out_stats, index, simd, lane, place);
}

}  // namespace tq
