// The code of one vector, by 32 lanes: normalise, search the input scale, round to a codebook, pack.
//
// A codebook is odd: its positive half is 2^(b-1) ascending centroids with a threshold between every two, and a code
// counts centroids from the lowest negative one. So an even grid and a Lloyd-Max codebook differ in numbers alone.

namespace tq {

/// What the gain of a code is: the vector's norm, the best multiple of the centroids, or what keeps the norm.
enum { NORM, LEAST_SQUARES, NORM_PRESERVING };

/// The positive half of a codebook.
struct Levels {
  SHARED const float* thresholds;
  SHARED const float* centroids;
};

template <int BITS>
INLINE Levels levels_of(SHARED const float* codebook) {
  return Levels{codebook, codebook + (1 << (BITS - 1))};
}

/// How many thresholds lie below a magnitude.
template <int BITS>
INLINE int rank_of(float x, Levels levels) {
  int rank = 0;
  UNROLL for (int step = 1 << (BITS - 2); step; step /= 2) {
    if (x > levels.thresholds[rank + step - 1]) rank += step;
  }
  return rank;
}

/// Coordinates N · lane … N · lane + N - 1 of a vector in float; no layout of it is assumed.
template <int N, typename T>
INLINE Floats<N> load_strided(const DEVICE T* vector, long stride, int lane) {
  Floats<N> part;
  UNROLL for (int i = 0; i < N; i++) part.x[i] = float(vector[(N * lane + i) * stride]);
  return part;
}

/// The largest magnitude of all lanes; NaN if there is one, since its bits are larger than any number's.
template <int N>
INLINE float largest_or_nan(Floats<N> y) {
  word largest = 0;
  UNROLL for (int i = 0; i < N; i++) {
    const word bits = as_word(y.x[i]) & 0x7fffffffu;
    largest = bits > largest ? bits : largest;
  }
  UNROLL for (int bit = 16; bit; bit /= 2) {
    const word bits = from_lane_xor(largest, bit);
    largest = bits > largest ? bits : largest;
  }
  return as_float(largest);
}

template <int N>
INLINE float sum_of_squares(Floats<N> x) {
  float sum = 0;
  UNROLL for (int i = 0; i < N; i++) sum += x.x[i] * x.x[i];
  return sum_of_lanes(sum);
}

/// A vector of unit mean square, or zero, and what gives its length back.
template <int N>
struct Normalised {
  Floats<N> u;
  float length;
};

/// Dividing by the largest magnitude first keeps the squares of huge and of tiny vectors finite.
template <int N>
INLINE Normalised<N> normalised(Floats<N> y, float largest) {
  const float safe = largest > 0 ? largest : 1.0f;
  UNROLL for (int i = 0; i < N; i++) y.x[i] /= safe;
  const float rms = square_root(sum_of_squares(y) / (32 * N));
  UNROLL for (int i = 0; i < N; i++) y.x[i] /= rms > 0 ? rms : 1.0f;
  return Normalised<N>{y, rms * safe};
}

/// An input scale, and ⟨u, c⟩ and ⟨c, c⟩ of the centroids c nearest to scale · u.
struct Fit {
  float scale, dot, square;
};

template <int BITS, int N>
INLINE Fit fit_at(float scale, Floats<N> u, Levels levels) {
  float dot = 0, square = 0;
  UNROLL for (int i = 0; i < N; i++) {
    const float x = magnitude(u.x[i]), c = levels.centroids[rank_of<BITS>(x * scale, levels)];
    dot += x * c;
    square += c * c;
  }
  return Fit{scale, sum_of_lanes(dot), sum_of_lanes(square)};
}

/// The fit of the largest cosine; of equal ones the first.
template <int BITS, int SCALES, int N>
INLINE Fit best_fit(const DEVICE float* scales, Floats<N> u, Levels levels) {
  Fit best = fit_at<BITS>(scales[0], u, levels);
  for (int i = 1; i < SCALES; i++) {
    const Fit fit = fit_at<BITS>(scales[i], u, levels);
    if (fit.dot * fit.dot * best.square > best.dot * best.dot * fit.square) best = fit;
  }
  return best;
}

/// A lane's codes, one behind the other from the lowest bit of `low` on.
struct CodeRun {
  word low, high;
};

template <int BITS, int N>
INLINE CodeRun codes_of(float scale, Floats<N> u, Levels levels) {
  CodeRun run = {0, 0};
  UNROLL for (int i = 0; i < N; i++) {
    const int rank = rank_of<BITS>(magnitude(u.x[i]) * scale, levels), half_codes = 1 << (BITS - 1);
    const word code = word(u.x[i] < 0 ? half_codes - 1 - rank : half_codes + rank);
    const int at = i * BITS;
    if (at < 32) run.low |= code << (at % 32);
    if (at >= 32) run.high |= code << (at % 32);
    if (at < 32 && at + BITS > 32) run.high |= code >> ((32 - at) % 32);
  }
  return run;
}

/// Word `index` of the stream in which the lanes' runs of LENGTH bits follow each other.
template <int LENGTH>
INLINE word word_of_stream(CodeRun run, int index) {
  constexpr int common = LENGTH % 32 ? LENGTH & -LENGTH : 32;           // no run begins in a word but at its multiples
  constexpr int lanes = (32 + LENGTH - common + LENGTH - 1) / LENGTH;  // whose runs a word can touch
  word found = 0;
  UNROLL for (int i = 0; i < lanes; i++) {
    const int lane = 32 * index / LENGTH + i, at = lane * LENGTH - 32 * index;  // where in the word the run begins
    const word low = from_lane(run.low, lane & 31), high = LENGTH > 32 ? from_lane(run.high, lane & 31) : 0u;
    if (at >= 0 && at < 32) found |= low << at;
    if (at < 0 && at > -32) found |= funnel(low, high, -at);
    if (at <= -32) found |= high >> (-at - 32);
  }
  return found;
}

/// Write the words of a rotated vector's code, and return its gain.
template <int BITS, int SCALES, int GAIN, int N>
INLINE float encode_vector(
    Floats<N> y, float largest, const DEVICE float* scales, Levels levels, DEVICE word* words, int lane) {
  const Normalised<N> vector = normalised(y, largest);
  Fit fit = {1, 1, 1};
  float gain = vector.length;
  if (GAIN != NORM) fit = best_fit<BITS, SCALES>(scales, vector.u, levels);
  if (GAIN == LEAST_SQUARES) gain *= fit.dot / fit.square;
  if (GAIN == NORM_PRESERVING) gain *= square_root(sum_of_squares(vector.u) / fit.square);
  const CodeRun run = codes_of<BITS>(fit.scale, vector.u, levels);
  UNROLL for (int first = 0; first < N * BITS; first += 32) {  // words of a vector: as many as a lane's run has bits
    const word found = word_of_stream<N * BITS>(run, first + lane);
    if (first + lane < N * BITS) words[first + lane] = found;
  }
  return gain;
}

}  // namespace tq
