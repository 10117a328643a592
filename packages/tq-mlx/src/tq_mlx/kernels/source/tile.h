// Sixteen coded tokens at a time: their scores, an online softmax, and their weighted values, by one group of 32 lanes.
//
// A tile of scores has a row per token and a column per query; the tiles of sums have a row per coordinate and a column
// per query, so the scale of a query's sums is found in the lanes that hold them. Scores are in powers of two.

namespace tq {

enum { TOKENS = 16 };

/// What is compiled in: the head dimension, the codes, and whether halves are completed by what rounding took from them.
template <int HEAD_DIM_, int KEY_BITS_, int KEY_FORM_, int VALUE_BITS_, int VALUE_FORM_, bool EXACT_, int AHEAD_,
          int COPIES_>
struct Variant {
  STATIC_CONSTANT int HEAD_DIM = HEAD_DIM_;
  STATIC_CONSTANT int KEY_BITS = KEY_BITS_;
  STATIC_CONSTANT int VALUE_BITS = VALUE_BITS_;
  STATIC_CONSTANT int KEY_FORM = KEY_FORM_;
  STATIC_CONSTANT int VALUE_FORM = VALUE_FORM_;
  STATIC_CONSTANT bool EXACT = EXACT_;
  STATIC_CONSTANT int AHEAD = AHEAD_;                        // tiles that loads run ahead
  STATIC_CONSTANT int COPIES = COPIES_;                      // of the tables of pairs
  STATIC_CONSTANT int LANE_DIM = HEAD_DIM_ / 32;             // coordinates of a whole vector that one lane holds
  STATIC_CONSTANT int STEPS = HEAD_DIM_ / 16;                // products of 16 × 16 that cover the head dimension
  STATIC_CONSTANT int KEY_CODES = HEAD_DIM_ / 4;             // of a key that one lane multiplies
  STATIC_CONSTANT int VALUE_CODES = HEAD_DIM_ / 8;
  STATIC_CONSTANT int KEY_RUN = KEY_CODES * KEY_BITS_;       // their bits
  STATIC_CONSTANT int VALUE_RUN = VALUE_CODES * VALUE_BITS_;
  STATIC_CONSTANT int KEY_WORDS = HEAD_DIM_ * KEY_BITS_ / 32;
  STATIC_CONSTANT int VALUE_WORDS = HEAD_DIM_ * VALUE_BITS_ / 32;
};

/// Codes and gains (bfloat16) of one row of the batch and one KV head.
struct Coded {
  const DEVICE word* words;
  const DEVICE half_bits* gains;
};

/// Tables of the codebooks; unused where the codes are a uniform grid's.
struct Tables {
  Table key, value;
};

/// The rotated queries over `unit` as halves, and what rounding took from them.
template <class V>
struct Queries {
  RightOperand part[V::STEPS];
  RightOperand rest[V::EXACT ? V::STEPS : 1];
  float offset[2];  // products of this lane's two queries with the half that uniform codes are off by
  float scale;      // times a key's gain: makes a product a score
};

template <class V>
struct FetchedKeys {
  Words<Run<V::KEY_RUN>::words> run[2];
  half_bits gain[2];
};

template <class V>
struct FetchedValues {
  Words<Run<V::VALUE_RUN>::words> run[4];
  half_bits gain[2];
};

INLINE float gain_of(half_bits bits) { return as_float(word(bits) << 16); }

/// Load a lane's part of 16 keys from token `start` on; where there are only `room` tokens, the last of them again.
template <class V, bool WHOLE>
INLINE FetchedKeys<V> fetch_keys(Coded keys, int start, int room, Place place) {
  FetchedKeys<V> fetched;
  const DEVICE word* words = keys.words + long(start) * V::KEY_WORDS;
  const DEVICE half_bits* gains = keys.gains + start;
  UNROLL for (int i = 0; i < 2; i++) {
    const int token = place.row + 8 * i, within = WHOLE ? token : min(token, room - 1);
    fetched.run[i] = load_run<V::KEY_RUN, V::KEY_WORDS>(words + within * V::KEY_WORDS, place.column);
    fetched.gain[i] = gains[within];
  }
  return fetched;
}

template <class V, bool WHOLE>
INLINE FetchedValues<V> fetch_values(Coded values, int start, int room, Place place) {
  FetchedValues<V> fetched;
  const DEVICE word* words = values.words + long(start) * V::VALUE_WORDS;
  const DEVICE half_bits* gains = values.gains + start;
  UNROLL for (int i = 0; i < 4; i++) {
    const int token = 2 * place.column + (i & 1) + 8 * (i >> 1);
    const int within = WHOLE ? token : min(token, room - 1);
    fetched.run[i] = load_run<V::VALUE_RUN, V::VALUE_WORDS>(words + within * V::VALUE_WORDS, place.row);
  }
  UNROLL for (int i = 0; i < 2; i++) {
    const int token = place.row + 8 * i;
    fetched.gain[i] = gains[WHOLE ? token : min(token, room - 1)];
  }
  return fetched;
}

/// Load keys and values; whole tiles have a path of their own, in which one address serves all loads.
template <class V>
INLINE void fetch(
    Coded keys, Coded values, int start, int room, Place place, THREAD FetchedKeys<V>& fetched_keys,
    THREAD FetchedValues<V>& fetched_values) {
  if (room >= TOKENS) {
    fetched_keys = fetch_keys<V, true>(keys, start, room, place);
    fetched_values = fetch_values<V, true>(values, start, room, place);
  } else {
    fetched_keys = fetch_keys<V, false>(keys, start, room, place);
    fetched_values = fetch_values<V, false>(values, start, room, place);
  }
}

/// Return the scores of 16 keys (rows) and 8 queries (columns).
template <class V>
INLINE Tile scores_of(FetchedKeys<V> fetched, THREAD const Queries<V>& queries, Tables tables, Place place) {
  Words<Run<V::KEY_RUN>::words> run[2];
  UNROLL for (int i = 0; i < 2; i++) run[i] = aligned<V::KEY_RUN>(fetched.run[i], place.column);
  Tile sums[2];  // two, so that products need not wait for each other
  sums[0] = Tile{{queries.offset[0], queries.offset[1], queries.offset[0], queries.offset[1]}};
  sums[1] = Tile{{0, 0, 0, 0}};
  UNROLL for (int step = 0; step < V::STEPS; step++) {
    LeftOperand codes;
    UNROLL for (int i = 0; i < 4; i++) {
      codes.x[i] = key_pair<V::KEY_BITS, V::KEY_CODES, V::KEY_FORM, V::COPIES>(
          run[i & 1], 2 * step + (i >> 1), tables.key);
    }
    accumulate(sums[step & 1], codes, queries.part[step]);
    if (V::EXACT) accumulate(sums[step & 1], codes, queries.rest[V::EXACT ? step : 0]);
    if (V::EXACT && V::KEY_FORM == TABLE) {
      UNROLL for (int i = 0; i < 4; i++) {
        codes.x[i] = key_pair<V::KEY_BITS, V::KEY_CODES, V::KEY_FORM, V::COPIES>(
            run[i & 1], 2 * step + (i >> 1), rest_of(tables.key));
      }
      accumulate(sums[step & 1], codes, queries.part[step]);
    }
  }
  UNROLL for (int i = 0; i < 4; i++) {
    sums[0].x[i] = (sums[0].x[i] + sums[1].x[i]) * (gain_of(fetched.gain[i >> 1]) * queries.scale);
  }
  return sums[0];
}

/// Softmax of some tokens so far, for this lane's two queries: everything is over 2^maximum.
template <class V>
struct Sums {
  float maximum[2];
  float total[2];   // of the weights of this lane's tokens
  float weight[2];  // the same with each weight times its value's gain
  Tile values[V::STEPS];
};

template <class V>
INLINE Sums<V> no_sums() {
  Sums<V> sums;
  UNROLL for (int i = 0; i < 2; i++) {
    sums.maximum[i] = lowest();
    sums.total[i] = sums.weight[i] = 0;
  }
  UNROLL for (int step = 0; step < V::STEPS; step++) sums.values[step] = Tile{{0, 0, 0, 0}};
  return sums;
}

/// Take the sums over another power of two.
template <class V>
INLINE void rescale(THREAD Sums<V>& sums, float maximum0, float maximum1) {
  const float shrink[2] = {exp2_fast(sums.maximum[0] - maximum0), exp2_fast(sums.maximum[1] - maximum1)};
  UNROLL for (int i = 0; i < 2; i++) {
    sums.total[i] *= shrink[i];
    sums.weight[i] *= shrink[i];
  }
  UNROLL for (int step = 0; step < V::STEPS; step++) {
    UNROLL for (int i = 0; i < 4; i++) sums.values[step].x[i] *= shrink[i & 1];
  }
  sums.maximum[0] = maximum0;
  sums.maximum[1] = maximum1;
}

/// Add 16 tokens to the sums.
///
/// A value's gain is part of its weight, so that no gain is too large or too small for a half. The maximum is raised only
/// when a weight would exceed 2^8: most tiles need no exchange between lanes.
template <class V>
INLINE void add(THREAD Sums<V>& sums, Tile scores, FetchedValues<V> fetched, Tables tables, Place place) {
  float heavier[2];  // log2 of the gains
  UNROLL for (int i = 0; i < 2; i++) heavier[i] = larger(log2_fast(gain_of(fetched.gain[i])), -100.0f);
  const float highest[2] = {
      larger(scores.x[0] + heavier[0], scores.x[2] + heavier[1]),
      larger(scores.x[1] + heavier[0], scores.x[3] + heavier[1])};
  if (any_lane(highest[0] > sums.maximum[0] + 8 || highest[1] > sums.maximum[1] + 8)) {
    rescale(sums, larger(sums.maximum[0], largest_of_rows(highest[0])),
            larger(sums.maximum[1], largest_of_rows(highest[1])));
  }
  float weights[4];
  UNROLL for (int i = 0; i < 4; i++) {
    const float score = scores.x[i] - sums.maximum[i & 1];
    weights[i] = exp2_fast(score + heavier[i >> 1]);
    sums.total[i & 1] += exp2_fast(score);
    if (V::VALUE_FORM == GRID) sums.weight[i & 1] += weights[i];
  }
  const word upper = pack_halves(weights[0], weights[1]), lower = pack_halves(weights[2], weights[3]);
  const RightOperand shares = right_operand(upper, lower);
  RightOperand rest;
  if (V::EXACT) {
    rest = right_operand(
        pack_halves(weights[0] - low_half(upper), weights[1] - low_half(upper >> 16)),
        pack_halves(weights[2] - low_half(lower), weights[3] - low_half(lower >> 16)));
  }
  Words<Run<V::VALUE_RUN>::words> run[4];
  UNROLL for (int i = 0; i < 4; i++) run[i] = aligned<V::VALUE_RUN>(fetched.run[i], place.row);
  UNROLL for (int step = 0; step < V::STEPS; step++) {
    LeftOperand codes;
    UNROLL for (int i = 0; i < 4; i++) {
      const int pair = i & 2;
      codes.x[i] = value_pair<V::VALUE_BITS, V::VALUE_CODES, V::VALUE_FORM, V::COPIES>(
          run[pair], run[pair + 1], 2 * step + (i & 1), tables.value);
    }
    accumulate(sums.values[step], codes, shares);
    if (V::EXACT) accumulate(sums.values[step], codes, rest);
    if (V::EXACT && V::VALUE_FORM == TABLE) {
      UNROLL for (int i = 0; i < 4; i++) {
        const int pair = i & 2;
        codes.x[i] = value_pair<V::VALUE_BITS, V::VALUE_CODES, V::VALUE_FORM, V::COPIES>(
            run[pair], run[pair + 1], 2 * step + (i & 1), rest_of(tables.value));
      }
      accumulate(sums.values[step], codes, shares);
    }
  }
}

/// Which coordinate row `row` (0 … 7, or eight `below`) of the sums of step `step` is.
template <class V>
INLINE int value_coordinate(int step, int row, int below) {
  return row * (V::HEAD_DIM / 8) + 2 * step + below;
}

/// Which coordinate row `row` (0 … 15) of the queries' operand of step `step` is multiplied with.
template <class V>
INLINE int key_coordinate(int step, int row) {
  const int column = row % 8 / 2, pair = 2 * step + row / 8;
  return column * (V::HEAD_DIM / 4) + key_order<V::KEY_BITS, V::KEY_CODES, V::KEY_FORM>(pair, row % 2);
}

}  // namespace tq
