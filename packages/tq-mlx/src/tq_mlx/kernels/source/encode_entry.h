// Groups of 32 lanes take the vectors of one row and head in turn: all of them are busy, whatever the number of tokens.
const int index = int(thread_index_in_threadgroup), lane = index % 32;
const DEVICE int* plan = (const DEVICE int*)numbers;
const DEVICE float* signs = (const DEVICE float*)(numbers + 8);
const DEVICE float* codebook = signs + HEAD_DIM;
const DEVICE float* scales = codebook + (1 << BITS);
const int tokens = plan[0], heads = plan[1], groups = plan[2], block = plan[3], gone = plan[4];
const int pair = int(threadgroup_position_in_grid.z), row = pair / heads, head = pair % heads;

SHARED_ARRAY(float, levels, 1 << BITS);
for (int i = index; i < 1 << BITS; i += SIMDS * 32) levels[i] = codebook[i];
BARRIER();

for (int token = int(threadgroup_position_in_grid.y) * SIMDS + index / 32; token < tokens; token += groups * SIMDS) {
  tq::Floats<HEAD_DIM / 32> x = tq::load_strided<HEAD_DIM / 32>(
      vectors + row * vectors_strides[0] + head * vectors_strides[1] + token * vectors_strides[2], vectors_strides[3],
      lane);
  if (CENTRED) {
    const tq::Floats<HEAD_DIM / 32> mean = tq::load_strided<HEAD_DIM / 32>(
        means + row * means_strides[0] + head * means_strides[1] + (gone + token) / block * means_strides[2],
        means_strides[3], lane);
    UNROLL for (int i = 0; i < HEAD_DIM / 32; i++) x.x[i] -= mean.x[i];
  }
  const tq::Floats<HEAD_DIM / 32> y =
      tq::hadamard(tq::flipped(x, tq::load_part<HEAD_DIM / 32>(signs, lane)), lane);
  const float largest = tq::largest_or_nan(y);
  const long vector = long(pair) * tokens + token;
  const float found = tq::encode_vector<BITS, SCALES, GAIN>(
      y, largest, scales, tq::levels_of<BITS>(levels), words + vector * (HEAD_DIM * BITS / 32), lane);
  if (lane == 0) {
    gain[vector] = G(found);
    peaks[vector] = largest;
  }
}
