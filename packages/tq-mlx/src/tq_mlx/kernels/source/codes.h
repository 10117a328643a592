// Runs of b-bit codes, and what they stand for as pairs of halves.
//
// A half of exponent 2^10 counts in ones, so a code put into the low bits of 0x6400 is 1024 + code: no conversion. Codes
// of a grid come out less 2^(b-1): exact, and small enough that sums of them round little; the half that this is off the
// middle is added to the sums. A codebook is a table: of halves, or of pairs of them, which takes one look-up for two
// codes; so that lanes need not wait for each other, groups of them have a copy each.

namespace tq {

template <int N>
struct Words {
  word x[N];
};

/// A run of BITS bits, one of several that follow each other in a vector's stream.
template <int BITS>
struct Run {
  STATIC_CONSTANT int most_shift = BITS % 32 == 0 ? 0 : BITS % 16 == 0 ? 16 : 24;
  STATIC_CONSTANT int words = (BITS + most_shift + 31) / 32;  // that it touches, wherever it begins
};

/// Load the words that run `index` touches of a vector of VECTOR_WORDS words.
template <int BITS, int VECTOR_WORDS>
INLINE Words<Run<BITS>::words> load_run(const DEVICE word* vector, int index) {
  Words<Run<BITS>::words> run;
  if (BITS % 32 == 0) {
    load_words<Run<BITS>::words>(vector + index * (BITS / 32), run.x);
  } else {
    const int first = index * BITS / 32;
    UNROLL for (int i = 0; i < Run<BITS>::words; i++) {
      const int at = first + i;
      run.x[i] = vector[at < VECTOR_WORDS ? at : VECTOR_WORDS - 1];
    }
  }
  return run;
}

/// Move run `index` to the first bit of its words.
template <int BITS>
INLINE Words<Run<BITS>::words> aligned(Words<Run<BITS>::words> run, int index) {
  if (BITS % 32 != 0) {
    const int shift = index * BITS % 32;
    UNROLL for (int i = 0; i < Run<BITS>::words; i++) {
      run.x[i] = funnel(run.x[i], i + 1 < Run<BITS>::words ? run.x[i + 1] : 0, shift);
    }
  }
  return run;
}

/// How codes become values.
enum { GRID, PAIRS, TABLE };

/// The centroids of a codebook: as halves, what rounding took from them, and as pairs [2^(2b), COPIES].
struct Table {
  SHARED const half_bits* halves;
  SHARED const half_bits* rest;
  SHARED const word* pairs;  // this lane's copy: every COPIES-th word
};

/// Codes of a run, cut into windows: as many as leave room for two halves of whole codes in a word.
template <int BITS, int CODES>
struct Window {
  STATIC_CONSTANT int most = 16 / BITS;  // codes of half a window

  INLINE static int of(int code) { return code / (2 * most); }
  INLINE static int half_codes(int window) {
    return min(int(most), (CODES - 2 * most * window) / 2);
  }
};

/// The codes of a window: those of its first half from bit 0 of the word on, those of its second from bit 16 on.
template <int BITS, int CODES, int N>
INLINE word window_of(THREAD const Words<N>& run, int window) {
  const int bit = 2 * Window<BITS, CODES>::most * BITS * window, i = bit / 32;
  const int half_bits_used = Window<BITS, CODES>::half_codes(window) * BITS;
  word codes = bit % 32 ? funnel(run.x[i], run.x[i + 1 < N ? i + 1 : i], bit % 32) : run.x[i];
  if (half_bits_used < 16) {
    const word low = (1u << half_bits_used) - 1;
    codes = (codes & low) | (codes & (low << half_bits_used)) << (16 - half_bits_used);
  }
  return codes;
}

INLINE word same_halves(float x) { return pack_halves(x, x); }

/// The values of the two codes at bits `shift` and `shift` + 16 of a word: a grid's, or from a table of halves.
template <int BITS, int FORM>
INLINE word values_at(word codes, int shift, SHARED const half_bits* table) {
  if (FORM == TABLE) {
    const word mask = (1u << BITS) - 1;
    const word low = (codes >> shift) & mask, high = (codes >> (shift + 16)) & mask;
    return word(table[low]) | (word(table[high]) << 16);
  }
  if (shift + BITS > 10) {  // beyond a half's mantissa
    const int down = min(shift, 8);
    codes >>= down;
    shift -= down;
  }
  const word mask = ((1u << BITS) - 1) << shift;
  const float unit = 1 << shift;
  const word magic = masked_or(codes, mask | mask << 16, 0x64006400u);  // 1024 + code · unit
  return fused_multiply_add(magic, same_halves(1 / unit), same_halves(-(1024 / unit + (1 << (BITS - 1)))));
}

/// The values of codes 2 · pair and 2 · pair + 1 of a run, from this lane's copy of the table of pairs.
template <int BITS, int COPIES, int N>
INLINE word pair_at(THREAD const Words<N>& run, int pair, SHARED const word* pairs) {
  const int bit = 2 * BITS * pair, i = bit / 32, shift = bit % 32;
  if (BITS == 4) return shared_word(pairs, byte_of(run.x[i], shift / 8) * COPIES);
  const word codes = shift + 2 * BITS <= 32 ? run.x[i] >> shift : funnel(run.x[i], run.x[i + 1 < N ? i + 1 : i], shift);
  return shared_word(pairs, (codes & ((1u << (2 * BITS)) - 1)) * COPIES);
}

/// Fill a table of pairs.
template <int BITS, int COPIES>
INLINE void fill_pairs(const DEVICE half_bits* centroids, SHARED word* pairs, int index, int threads) {
  const int codes = 1 << BITS;
  for (int both = index; both < codes * codes; both += threads) {
    const word pair = word(centroids[both % codes]) | word(centroids[both / codes]) << 16;
    // Neighbours begin at different copies, or they would write to one bank at a time.
    UNROLL for (int i = 0; i < COPIES; i++) pairs[both * COPIES + (both + i) % COPIES] = pair;
  }
}

// Keys: a lane multiplies pairs of codes of one vector: neighbours, or those at the same place of a window's two halves.
// Which two codes make a pair is free, as long as the query is read in the same order.

/// Which code of a run is the first (member 0) or second (member 1) of pair `pair`.
template <int BITS, int CODES, int FORM>
INLINE int key_order(int pair, int member) {
  if (FORM == PAIRS) return 2 * pair + member;
  const int most = Window<BITS, CODES>::most, window = pair / most;
  return window * 2 * most + pair % most + member * Window<BITS, CODES>::half_codes(window);
}

template <int BITS, int CODES, int FORM, int COPIES, int N>
INLINE word key_pair(THREAD const Words<N>& run, int pair, Table table) {
  if (FORM == PAIRS) return pair_at<BITS, COPIES>(run, pair, table.pairs);
  const int most = Window<BITS, CODES>::most;
  return values_at<BITS, FORM>(window_of<BITS, CODES>(run, pair / most), pair % most * BITS, table.halves);
}

// Values: a lane multiplies pairs of codes of one coordinate, of two vectors.

template <int BITS, int CODES, int FORM, int COPIES, int N>
INLINE word value_pair(
    THREAD const Words<N>& first, THREAD const Words<N>& second, int code, Table table) {
  if (FORM == PAIRS) {
    const word a = pair_at<BITS, COPIES>(first, code / 2, table.pairs);
    const word b = pair_at<BITS, COPIES>(second, code / 2, table.pairs);
    return code % 2 ? join_high(a, b) : join_low(a, b);
  }
  const int window = Window<BITS, CODES>::of(code), place = code % (2 * Window<BITS, CODES>::most);
  const word a = window_of<BITS, CODES>(first, window), b = window_of<BITS, CODES>(second, window);
  const int half_codes = Window<BITS, CODES>::half_codes(window);
  return place < half_codes ? values_at<BITS, FORM>(join_low(a, b), place * BITS, table.halves)
                            : values_at<BITS, FORM>(join_high(a, b), (place - half_codes) * BITS, table.halves);
}

/// The same table with what rounding took from the centroids in their place.
INLINE Table rest_of(Table table) { return Table{table.rest, table.rest, table.pairs}; }

}  // namespace tq
