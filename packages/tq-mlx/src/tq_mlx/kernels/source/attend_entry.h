typedef tq::Variant<HEAD_DIM, KEY_BITS, KEY_FORM, VALUE_BITS, VALUE_FORM, EXACT, AHEAD, COPIES> Chosen;
const int index = int(thread_index_in_threadgroup);
const DEVICE float* factors = (const DEVICE float*)numbers;
const DEVICE float* signs = factors + 8;
const DEVICE half_bits* key_table = (const DEVICE half_bits*)(numbers + 8 + HEAD_DIM);
const DEVICE half_bits* value_table = key_table + (KEY_FORM == tq::GRID ? 0 : 2 << KEY_BITS);
const DEVICE int* plan = (const DEVICE int*)(numbers + PLAN_AT);
const int splits = plan[0], tiles = plan[1], group = plan[2], length = plan[3];
const int heads = plan[6];
DEVICE float* sums = partials;
DEVICE float* statistics = partials + long(plan[7]) * (tq::QUERIES * HEAD_DIM);
const int split_at = int(threadgroup_position_in_grid.y) / tiles, tile = int(threadgroup_position_in_grid.y) % tiles;
const int row = int(threadgroup_position_in_grid.z) / heads, head = int(threadgroup_position_in_grid.z) % heads;

SHARED_ARRAY(float, dense, tq::QUERIES * HEAD_DIM);
SHARED_ARRAY(float, rotated, tq::QUERIES * HEAD_DIM);
SHARED_ARRAY(float, shifts, SHIFTED ? (MOST_BLOCKS + 1) * tq::QUERIES : 1);
SHARED_ARRAY(float, stats, (SIMDS + 1) * tq::QUERIES * 2);
SHARED_ARRAY(float, peaks, tq::QUERIES);
SHARED_ARRAY(float, offsets, tq::QUERIES);
SHARED_ARRAY(half_bits, centroids, KEY_FORM == tq::TABLE ? 2 << KEY_BITS : 1);
SHARED_ARRAY(half_bits, value_centroids, VALUE_FORM == tq::TABLE ? 2 << VALUE_BITS : 1);
constexpr bool SAME_PAIRS = KEY_FORM == tq::PAIRS && VALUE_FORM == tq::PAIRS && KEY_BITS == VALUE_BITS;
SHARED_ARRAY(word, key_pairs, KEY_FORM == tq::PAIRS ? COPIES << 2 * KEY_BITS : 1);
SHARED_ARRAY(word, value_pairs, VALUE_FORM == tq::PAIRS && !SAME_PAIRS ? COPIES << 2 * VALUE_BITS : 1);
if (KEY_FORM == tq::TABLE) {
  for (int i = index; i < 2 << KEY_BITS; i += SIMDS * 32) centroids[i] = key_table[i];
}
if (VALUE_FORM == tq::TABLE) {
  for (int i = index; i < 2 << VALUE_BITS; i += SIMDS * 32) value_centroids[i] = value_table[i];
}
if (KEY_FORM == tq::PAIRS) tq::fill_pairs<KEY_BITS, COPIES>(key_table, key_pairs, index, SIMDS * 32);
if (VALUE_FORM == tq::PAIRS && !SAME_PAIRS) {
  tq::fill_pairs<VALUE_BITS, COPIES>(value_table, value_pairs, index, SIMDS * 32);
}

const int sink_tokens = plan[8 + 4 * row], packed = plan[9 + 4 * row], tail_tokens = plan[10 + 4 * row];
const int dense_tokens = sink_tokens + tail_tokens;
const int share = (packed + splits * tq::TOKENS - 1) / (splits * tq::TOKENS) * tq::TOKENS;
const int dense_share = (dense_tokens + splits - 1) / splits;
tq::Split split;
split.first_query = tile * tq::QUERIES;
split.queries = min(int(tq::QUERIES), group * length - split.first_query);
split.group_length = length;
split.begin = min(split_at * share, packed);
split.end = min(split.begin + share, packed);
split.dense_begin = min(split_at * dense_share, dense_tokens);
split.dense_end = min(split.dense_begin + dense_share, dense_tokens);
split.packed = packed;
split.tokens = packed + dense_tokens;
split.block_shift = plan[4];
split.gone = plan[11 + 4 * row];
split.causal = plan[5] != 0;

const tq::Coded keys = {
    key_words + row * key_words_strides[0] + head * key_words_strides[1],
    (const DEVICE half_bits*)(key_gain + row * key_gain_strides[0] + head * key_gain_strides[1])};
const tq::Coded values = {
    value_words + row * value_words_strides[0] + head * value_words_strides[1],
    (const DEVICE half_bits*)(value_gain + row * value_gain_strides[0] + head * value_gain_strides[1])};
const tq::Coded deviations = {
    shift_words + row * shift_words_strides[0] + head * shift_words_strides[1],
    (const DEVICE half_bits*)(shift_gain + row * shift_gain_strides[0] + head * shift_gain_strides[1])};
const tq::Dense<T> sink = {
    sink_keys + row * sink_keys_strides[0] + head * sink_keys_strides[1],
    sink_values + row * sink_values_strides[0] + head * sink_values_strides[1],
    int(sink_keys_strides[2]), int(sink_values_strides[2]), sink_tokens};
const tq::Dense<T> tail = {
    tail_keys + row * tail_keys_strides[0] + head * tail_keys_strides[1],
    tail_values + row * tail_values_strides[0] + head * tail_values_strides[1],
    int(tail_keys_strides[2]), int(tail_values_strides[2]), tail_tokens};
const tq::Tables tables = {
    {centroids, centroids + (1 << KEY_BITS), key_pairs + index % COPIES},
    {value_centroids, value_centroids + (1 << VALUE_BITS), (SAME_PAIRS ? key_pairs : value_pairs) + index % COPIES}};
const tq::Scratch scratch = {dense, rotated, shifts, stats, peaks, offsets};
const long part = ((long(row) * heads + head) * tiles + tile) * splits + split_at;
tq::attend_split<Chosen, SIMDS, SHIFTED, T>(
    split, queries + row * queries_strides[0] + head * group * queries_strides[1], int(queries_strides[1]),
    int(queries_strides[2]), keys, values, deviations, sink, tail, signs,
    mean + row * mean_strides[0] + head * mean_strides[1], factors, tables, scratch, sums + part * (tq::QUERIES * HEAD_DIM),
    statistics + part * (tq::QUERIES * 2), index);
