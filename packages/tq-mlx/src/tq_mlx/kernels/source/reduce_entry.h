// The second pass: merge the splits of one query, rotate the sum back and divide by the total weight.
const int index = int(thread_index_in_threadgroup), lane = index % 32, simd = index / 32;
const int splits = plan[0], tiles = plan[1], group = plan[2], length = plan[3], heads = plan[6];
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
tq::Floats<HEAD_DIM / 32> total;
UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) total.x[i] = 0;
float weight = 0;
for (int split = simd; split < splits; split += SIMDS) {
  const float shrink = tq::exp2_fast(found[split * tq::QUERIES * 2] - maximum);
  const DEVICE float* part = sums + ((first + split) * tq::QUERIES + within) * HEAD_DIM;
  weight += found[split * tq::QUERIES * 2 + 1] * shrink;
  UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) total.x[i] += part[32 * i + lane] * shrink;
}
UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) shared_values[simd * HEAD_DIM + 32 * i + lane] = total.x[i];
shared_totals[simd] = weight;
BARRIER();
if (simd == 0) {
  for (int other = 1; other < SIMDS; other++) {
    UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) total.x[i] += shared_values[other * HEAD_DIM + 32 * i + lane];
    weight += shared_totals[other];
  }
  total = tq::flipped(tq::hadamard(total, lane), signs, lane);
  DEVICE T* to = out + (long(pair) * group * length + query) * HEAD_DIM;
  UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) to[32 * i + lane] = T(total.x[i] / weight);
}
