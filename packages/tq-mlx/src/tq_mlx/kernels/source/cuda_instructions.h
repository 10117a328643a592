// Instructions of NVIDIA GPUs from Ampere on that C++ has no words for. Halves travel in pairs, as the bits of a word.

typedef unsigned int word;
typedef unsigned short half_bits;

namespace tq {

/// c += a · b of 16 × 16 halves and 16 × 8 halves, summed in float.
__device__ __forceinline__ void multiply_accumulate(float (&c)[4], const word (&a)[4], const word (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Transpose a matrix of 8 × 8 halves, of which each lane holds a pair.
__device__ __forceinline__ word transposed(word pair) {
  word result;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(pair));
  return result;
}

/// pair · factor + term, of both halves.
__device__ __forceinline__ word fused_multiply_add(word pair, word factor, word term) {
  word result;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(result) : "r"(pair), "r"(factor), "r"(term));
  return result;
}

/// Two floats rounded to halves: the first in the low half.
__device__ __forceinline__ word pack_halves(float low, float high) {
  word result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

__device__ __forceinline__ float low_half(word pair) {
  float result;
  asm("{ .reg .f16 low, high; mov.b32 {low, high}, %1; cvt.f32.f16 %0, low; }" : "=f"(result) : "r"(pair));
  return result;
}

__device__ __forceinline__ float exp2_fast(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ __forceinline__ float log2_fast(float x) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ __forceinline__ float reciprocal_root(float x) { return rsqrtf(x); }

__device__ __forceinline__ float square_root(float x) { return sqrtf(x); }

__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }

__device__ __forceinline__ float magnitude(float x) { return fabsf(x); }

/// (x & mask) | extra
__device__ __forceinline__ word masked_or(word x, word mask, word extra) {
  word result;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(result) : "r"(x), "r"(mask), "r"(extra));
  return result;
}

/// The low, or high, halves of two words side by side.
__device__ __forceinline__ word join_low(word low, word high) { return __byte_perm(low, high, 0x5410); }
__device__ __forceinline__ word join_high(word low, word high) { return __byte_perm(low, high, 0x7632); }

/// Byte `index` of a word.
__device__ __forceinline__ word byte_of(word x, int index) { return __byte_perm(x, 0, 0x4440 | index); }

/// The 32 bits from bit `shift` (below 32) of high:low on.
__device__ __forceinline__ word funnel(word low, word high, int shift) { return __funnelshift_r(low, high, shift); }

__device__ __forceinline__ float from_lane(float x, int lane) { return __shfl_sync(0xffffffffu, x, lane); }

__device__ __forceinline__ word from_lane(word x, int lane) { return __shfl_sync(0xffffffffu, x, lane); }

__device__ __forceinline__ float from_lane_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }

__device__ __forceinline__ word from_lane_xor(word x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }

__device__ __forceinline__ bool any_lane(bool x) { return __any_sync(0xffffffffu, x); }

/// Words that are read once: past the first-level cache.
__device__ __forceinline__ void load_4(const word* from, word* to) {
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
      : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "l"(from));
}

__device__ __forceinline__ void load_2(const word* from, word* to) {
  asm("ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "l"(from));
}

/// table[index], whose address the compiler would take three instructions to find.
__device__ __forceinline__ word shared_word(const word* table, word index) {
  word result;
  const word address = word(__cvta_generic_to_shared(table)) + index * word(sizeof(word));
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(result) : "r"(address));
  return result;
}

/// Whether this threadgroup is the last of `count` at a ticket: it then sees what all of them wrote.
///
/// The ticket is an argument, which MLX takes for read-only; behind the last threadgroup it is zero again.
__device__ __forceinline__ bool arrives_last(const word* ticket, int count, int index, word* arrival) {
  __threadfence();
  __syncthreads();
  if (index == 0) *arrival = atomicInc(const_cast<word*>(ticket), count - 1);
  __syncthreads();
  __threadfence();
  return *arrival == count - 1;
}

}  // namespace tq
