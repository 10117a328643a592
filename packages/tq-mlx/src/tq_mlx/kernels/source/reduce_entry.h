// The second pass: merge the splits of one query, rotate the sum back and divide by the total weight.
const int index = int(thread_index_in_threadgroup), lane = index % 32, simd = index / 32;
constexpr int N = HEAD_DIM / 32;
const int splits = plan[0], tiles = plan[1], group = plan[2], length = plan[3];
const int query = int(threadgroup_position_in_grid.y);
const int pair = int(threadgroup_position_in_grid.z);  // row of the batch and KV head
const long first = (long(pair) * tiles + query / tq::QUERIES) * splits;
const int within = query % tq::QUERIES;
const DEVICE float* found = statistics + (first * tq::QUERIES + within) * 2;
SHARED_ARRAY(float, shared_values, SIMDS * HEAD_DIM);
SHARED_ARRAY(float, shared_totals, SIMDS);

float maximum = tq::lowest();
for (int split = lane; split < splits; split += 32) maximum = tq::larger(maximum, found[split * tq::QUERIES * 2]);
maximum = tq::largest_of_lanes(maximum);
tq::Floats<N> total;
UNROLL for (int i = 0; i < N; i++) total.x[i] = 0;
float weight = 0;
for (int split = simd; split < splits; split += SIMDS) {
  const float shrink = tq::exp2_fast(found[split * tq::QUERIES * 2] - maximum);
  const tq::Floats<N> part = tq::load_part<N>(sums + ((first + split) * tq::QUERIES + within) * HEAD_DIM, lane);
  weight += found[split * tq::QUERIES * 2 + 1] * shrink;
  UNROLL for (int i = 0; i < N; i++) total.x[i] += part.x[i] * shrink;
}
UNROLL for (int i = 0; i < N; i++) shared_values[simd * HEAD_DIM + N * lane + i] = total.x[i];
shared_totals[simd] = weight;
BARRIER();
if (simd == 0) {
  for (int other = 1; other < SIMDS; other++) {
    UNROLL for (int i = 0; i < N; i++) total.x[i] += shared_values[other * HEAD_DIM + N * lane + i];
    weight += shared_totals[other];
  }
  total = tq::flipped(tq::hadamard(total, lane), tq::load_part<N>(factors + 8, lane));
  DEVICE T* to = out + (long(pair) * group * length + query) * HEAD_DIM;
  UNROLL for (int i = 0; i < N; i++) to[N * lane + i] = T(total.x[i] / weight);
}
