// CUDA's dialect of the kernels' shared text.

#define DEVICE
#define SHARED
#define THREAD
#define INLINE __device__ __forceinline__
#define STATIC_CONSTANT static constexpr
#define SHARED_ARRAY(type, name, size) __shared__ type name[size]
#define UNROLL _Pragma("unroll")
#define BARRIER() __syncthreads()
#define threadgroup_position_in_grid blockIdx
#define thread_index_in_threadgroup threadIdx.x

namespace tq {

// The matrix units take operands spread over 32 lanes: each lane holds pairs of halves at its row and column pair.

/// Operand of 16 × 16 halves: pairs at (row, k), (row + 8, k), (row, k + 8), (row + 8, k + 8) with k = 2 · column.
struct LeftOperand {
  word x[4];
};

/// Operand of 16 × 8 halves.
struct RightOperand {
  word x[2];
};

/// 16 × 8 floats: x[0], x[1] at row and columns 2 · column, 2 · column + 1; x[2], x[3] eight rows below.
struct Tile {
  float x[4];
};

/// Row (0 … 7) and column pair (0 … 3) of a lane.
struct Place {
  int row, column;
};

INLINE Place place_of(int lane) { return Place{lane >> 2, lane & 3}; }

/// Where element i (0 … 3) of a lane's RightOperand sits in the 16 × 8 matrix: here the operand is held by columns.
INLINE int right_row(Place place, int i) { return 2 * place.column + (i & 1) + 8 * (i >> 1); }
INLINE int right_column(Place place, int i) { return place.row; }

INLINE void accumulate(THREAD Tile& c, THREAD const LeftOperand& a, THREAD const RightOperand& b) {
  multiply_accumulate(c.x, a.x, b.x);
}

/// The RightOperand whose rows 0 … 7 and 8 … 15 lie as a Tile's: pairs at (row, 2 · column) and (row + 8, 2 · column).
INLINE RightOperand right_operand(word upper, word lower) {
  return RightOperand{{transposed(upper), transposed(lower)}};
}

/// Largest, and sum, over the lanes that share a column.
INLINE float largest_of_rows(float x) {
  x = larger(x, from_lane_xor(x, 4));
  x = larger(x, from_lane_xor(x, 8));
  return larger(x, from_lane_xor(x, 16));
}

INLINE float sum_of_rows(float x) {
  x += from_lane_xor(x, 4);
  x += from_lane_xor(x, 8);
  return x + from_lane_xor(x, 16);
}

INLINE float as_float(word bits) { return __uint_as_float(bits); }
INLINE word as_word(float x) { return __float_as_uint(x); }

/// Load N consecutive elements, which are aligned as a vector register of them.
template <int N, typename T>
INLINE void load_floats(const DEVICE T* from, THREAD float* to) {
  struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Part {
    T x[N];
  };
  const Part part = *reinterpret_cast<const Part*>(from);
  UNROLL for (int i = 0; i < N; i++) to[i] = float(part.x[i]);
}

/// Load N words; `from` is aligned to the largest of 16, 8 and 4 bytes that divides them.
template <int N>
INLINE void load_words(const DEVICE word* from, THREAD word* to) {
  UNROLL for (int i = 0; i < N; i += N % 4 == 0 ? 4 : N % 2 == 0 ? 2 : 1) {
    if (N % 4 == 0) {
      load_4(from + i, to + i);
    } else if (N % 2 == 0) {
      load_2(from + i, to + i);
    } else {
      to[i] = from[i];
    }
  }
}

}  // namespace tq
