// The first pass: eight queries that share a KV head attend over one split of the history.
//
// A split is a run of coded tokens and a share of the dense ones. Each group of 32 lanes takes every SIMDS-th tile of
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

  /// Blocks of the split's tokens, of which there is one at least.
  INLINE int first_block() const { return (gone + begin) >> block_shift; }
  INLINE int last_block() const { return (gone + end - 1) >> block_shift; }

  /// How many of the tokens query `row` may see.
  INLINE int seen(int row) const {
    const int newest = (first_query + row) % group_length;
    return causal ? tokens - group_length + newest + 1 : tokens;
  }
};

/// Memory that the lanes of a threadgroup share.
struct Scratch {
  SHARED float* dense;    // [QUERIES, HEAD_DIM] the sums of the dense values, rotated
  SHARED float* rotated;  // [QUERIES, HEAD_DIM] the rotated queries, later the sums of the coded values
  SHARED float* shifts;   // [blocks, QUERIES] what the scores of a block's tokens lack
  SHARED float* stats;    // [SIMDS + 1, QUERIES, 2] maximum and total of each group of lanes, and of the dense tokens
  SHARED float* peaks;    // [QUERIES] largest coordinate of each rotated query
  SHARED float* offsets;  // [QUERIES]
};

/// A query's coordinates as they came, times a factor; zeros for a row without one.
template <int N, typename T>
INLINE Floats<N> load_query(const DEVICE T* query, bool live, float factor, int lane) {
  Floats<N> x = load_part<N>(query, lane);
  UNROLL for (int i = 0; i < N; i++) x.x[i] = live ? x.x[i] * factor : 0.0f;
  return x;
}

/// Put one query among the rotated ones.
template <int N>
INLINE void keep_rotated(Floats<N> query, Floats<N> signs, int row, Scratch scratch, int lane) {
  const Floats<N> x = hadamard(flipped(query, signs), lane);
  float peak = 0;
  UNROLL for (int i = 0; i < N; i++) {
    scratch.rotated[row * 32 * N + N * lane + i] = x.x[i];
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
  UNROLL for (int i = 0; i < V::LANE_DIM; i++) {
    const float x = query[V::LANE_DIM * lane + i] * inverse(unit);
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

/// Attend over the split's dense tokens with one query; keeps their rotated sums.
template <class V, typename T>
INLINE void attend_dense_row(
    THREAD const Split& split, Dense<T> sink, Dense<T> tail, Floats<V::LANE_DIM> query, Floats<V::LANE_DIM> signs,
    Floats<V::LANE_DIM> mean, int row, SHARED float* stats, Scratch scratch, int lane) {
  float less = 0;  // a constant that the scores of coded tokens lack
  UNROLL for (int i = 0; i < V::LANE_DIM; i++) less += query.x[i] * mean.x[i];
  const int seen = split.seen(row), last = row < split.queries ? split.dense_end : split.dense_begin;
  const DenseSums<V::LANE_DIM> sums = attend_dense<V::LANE_DIM>(
      query, sink, tail, split.dense_begin, last, min(seen, sink.tokens), seen - sink.tokens - split.packed,
      sum_of_lanes(less), lane);
  const Floats<V::LANE_DIM> rotated = hadamard(flipped(sums.values, signs), lane);
  UNROLL for (int i = 0; i < V::LANE_DIM; i++) scratch.dense[row * V::HEAD_DIM + V::LANE_DIM * lane + i] = rotated.x[i];
  stats[2 * row] = sums.maximum;
  stats[2 * row + 1] = sums.total;
}

/// Scores of the blocks' deviations from the mean key, which are coded like keys.
template <class V, int SIMDS>
INLINE void score_blocks(
    THREAD const Split& split, Coded deviations, FetchedKeys<V> next, THREAD const Queries<V>& queries, Tables tables,
    SHARED float* shifts, int simd, Place place) {
  const int first = split.first_block(), last = split.last_block();
  for (int block = first + simd * TOKENS; block <= last; block += SIMDS * TOKENS) {
    const Tile scores = scores_of<V>(next, queries, tables, place);
    const int following = block + SIMDS * TOKENS;
    if (following <= last) next = fetch_keys<V, false>(deviations, following, last - following + 1, place);
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
      const int at = ((split.gone + token) >> split.block_shift) - split.first_block();
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

/// Tiles that are being loaded.
template <class V>
struct Ahead {
  FetchedKeys<V> keys[V::AHEAD];
  FetchedValues<V> values[V::AHEAD];
};

/// Attend over the split's coded tokens: every SIMDS-th tile of them. Loads run AHEAD tiles ahead of their use.
template <class V, int SIMDS, bool SHIFTED>
INLINE Sums<V> attend_coded(
    THREAD const Split& split, Coded keys, Coded values, THREAD Ahead<V>& ahead, THREAD const Queries<V>& queries,
    Tables tables, SHARED const float* shifts, int sink, int simd, Place place) {
  int seen[2];
  UNROLL for (int i = 0; i < 2; i++) {
    seen[i] = min(split.seen(2 * place.column + i) - sink, split.end);
  }
  const int seen_by_all = split.causal ? min(split.end, split.tokens - split.group_length + 1 - sink) : split.end;
  Sums<V> sums = no_sums<V>();
  for (int start = split.begin + simd * TOKENS; start < split.end; start += SIMDS * TOKENS) {
    const FetchedKeys<V> fetched_keys = ahead.keys[0];
    const FetchedValues<V> fetched_values = ahead.values[0];
    UNROLL for (int i = 1; i < V::AHEAD; i++) {
      ahead.keys[i - 1] = ahead.keys[i];
      ahead.values[i - 1] = ahead.values[i];
    }
    const int next = start + V::AHEAD * SIMDS * TOKENS;
    if (next < split.end) {
      fetch<V>(keys, values, next, split.end - next, place, ahead.keys[V::AHEAD - 1], ahead.values[V::AHEAD - 1]);
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
    THREAD Sums<V>& sums, int queries, float value_step, Scratch scratch, DEVICE float* out_sums, DEVICE float* out_stats,
    int index, int simd, int lane, Place place) {
  UNROLL for (int i = 0; i < 2; i++) {
    const float total = sum_of_rows(sums.total[i]), weight = sum_of_rows(sums.weight[i]);
    if (V::VALUE_FORM == GRID) {
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
      if (query >= queries) continue;
      out_sums[query * V::HEAD_DIM + coordinate] =
          scratch.rotated[(step * 4 + i) * 32 + lane] * value_step +
          scratch.dense[query * V::HEAD_DIM + coordinate] * shrink;
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
  Ahead<V> ahead;  // loads begin before anything waits
  UNROLL for (int i = 0; i < V::AHEAD; i++) {
    const int start = split.begin + (i * SIMDS + simd) * TOKENS;
    if (start < split.end) fetch<V>(keys, values, start, split.end - start, place, ahead.keys[i], ahead.values[i]);
  }
  FetchedKeys<V> first_blocks;
  if (SHIFTED && split.begin < split.end) {
    const int block = split.first_block() + simd * TOKENS, room = split.last_block() - block + 1;
    if (room > 0) first_blocks = fetch_keys<V, false>(deviations, block, room, place);
  }
  const Floats<V::LANE_DIM> signed_by = load_part<V::LANE_DIM>(signs, lane);
  const Floats<V::LANE_DIM> mean_part = load_part<V::LANE_DIM>(mean, lane);
  for (int row = simd; row < QUERIES; row += SIMDS) {
    const int at = split.first_query + (row < split.queries ? row : 0);
    const DEVICE T* query = queries + (at / split.group_length) * head_stride + (at % split.group_length) * token_stride;
    const Floats<V::LANE_DIM> x = load_query<V::LANE_DIM>(query, row < split.queries, factors[0], lane);
    attend_dense_row<V>(
        split, sink, tail, x, signed_by, mean_part, row, scratch.stats + SIMDS * QUERIES * 2, scratch, lane);
    keep_rotated(x, signed_by, row, scratch, lane);
  }
  BARRIER();
  const float unit = unit_of(scratch.peaks);
  for (int row = simd; row < QUERIES; row += SIMDS) {
    const float sum = V::KEY_FORM != GRID ? 0.0f : sum_of_halves<V>(scratch.rotated + row * V::HEAD_DIM, unit, lane);
    scratch.offsets[row] = 0.5f * sum;
  }
  BARRIER();
  const Queries<V> prepared = load_queries<V>(scratch, unit, factors[1], place);
  if (SHIFTED && split.begin < split.end) {
    score_blocks<V, SIMDS>(split, deviations, first_blocks, prepared, tables, scratch.shifts, simd, place);
  }
  BARRIER();
  Sums<V> sums = attend_coded<V, SIMDS, SHIFTED>(
      split, keys, values, ahead, prepared, tables, scratch.shifts, sink.tokens, simd, place);
  write_merged<V, SIMDS>(sums, split.queries, factors[2], scratch, out_sums, out_stats, index, simd, lane, place);
}

}  // namespace tq
