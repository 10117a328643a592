// Runs of b-bit codes, and what they stand for as pairs of halves.
//
// A half of exponent 2^10 counts in ones, so a code put into the low bits of 0x6400 is 1024 + code: no conversion. Codes
// come out less their middle, 2^(b-1): exact, and small enough that sums of them round little. The half that a uniform
// grid is off by (its middle is 2^(b-1) - 1/2) is added to the sums, not to the codes. A codebook is a table of halves.

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

/// The code that begins at a bit of the run, at the low end of a word; other codes lie above it.
template <int BITS, int N>
INLINE word code_at(THREAD const Words<N>& run, int bit) {
  const int i = bit / 32, shift = bit % 32;
  if (shift + BITS <= 32) return run.x[i] >> shift;
  return funnel(run.x[i], run.x[i + 1 < N ? i + 1 : i], shift);
}

INLINE word same_halves(float x) { return pack_halves(x, x); }

/// The values of the two codes at bits `shift` and `shift` + 16 of a word: less their middle, or from the table.
template <int BITS, bool TABLE>
INLINE word values_at(word codes, int shift, SHARED const half_bits* table) {
  if (TABLE) {
    const word mask = (1u << BITS) - 1;
    const word low = (codes >> shift) & mask, high = (codes >> (shift + 16)) & mask;
    return word(table[low]) | (word(table[high]) << 16);
  }
  if (shift + BITS > 10) {  // beyond a half's mantissa
    codes >>= 8;
    shift -= 8;
  }
  const word mask = ((1u << BITS) - 1) << shift;
  const float unit = 1 << shift;
  const word magic = masked_or(codes, mask | mask << 16, 0x64006400u);  // 1024 + code · unit
  return fused_multiply_add(magic, same_halves(1 / unit), same_halves(-(1024 / unit + (1 << (BITS - 1)))));
}

// Keys: a lane multiplies pairs of codes of one vector. Which two codes make a pair is free, as long as the query is read
// in the same order: where codes do not cross the middle of a word, those 16 bits apart come out of it together.

/// Which code of a run is the first (member 0) or second (member 1) of pair `pair`.
template <int BITS>
INLINE int key_order(int pair, int member) {
  const int per_word = 32 / BITS, pairs = per_word / 2;
  return 16 % BITS == 0 ? pair / pairs * per_word + pair % pairs + member * pairs : 2 * pair + member;
}

template <int BITS, bool TABLE, int N>
INLINE word key_pair(THREAD const Words<N>& run, int pair, SHARED const half_bits* table) {
  if (16 % BITS == 0) {
    const int pairs = 16 / BITS;
    return values_at<BITS, TABLE>(run.x[pair / pairs], pair % pairs * BITS, table);
  }
  const word low = code_at<BITS>(run, 2 * pair * BITS), high = code_at<BITS>(run, (2 * pair + 1) * BITS);
  return values_at<BITS, TABLE>(join_low(low, high), 0, table);
}

// Values: a lane multiplies pairs of codes of one coordinate, of two vectors.

template <int BITS, bool TABLE, int N>
INLINE word value_pair(
    THREAD const Words<N>& first, THREAD const Words<N>& second, int code, SHARED const half_bits* table) {
  const int bit = code * BITS;
  if (16 % BITS == 0) {
    const word a = first.x[bit / 32], b = second.x[bit / 32];
    return values_at<BITS, TABLE>(bit % 32 < 16 ? join_low(a, b) : join_high(a, b), bit % 16, table);
  }
  return values_at<BITS, TABLE>(join_low(code_at<BITS>(first, bit), code_at<BITS>(second, bit)), 0, table);
}

}  // namespace tq
