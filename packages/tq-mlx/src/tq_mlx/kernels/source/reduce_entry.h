// A second pass: merge what the first one's splits found.
const int splits = plan[0], tiles = plan[1], rows = plan[2] * plan[3];
const int tile = int(threadgroup_position_in_grid.y), pair = int(threadgroup_position_in_grid.z);
const long first = (long(pair) * tiles + tile) * splits;
SHARED_ARRAY(float, merged, SIMDS * HEAD_DIM);
SHARED_ARRAY(float, weights, SIMDS);
tq::merge_splits<HEAD_DIM / 32, SIMDS, T>(
    sums + first * tq::QUERIES * HEAD_DIM, statistics + first * tq::QUERIES * 2, splits,
    min(int(tq::QUERIES), rows - tile * tq::QUERIES), factors + 8, merged, weights,
    out + (long(pair) * rows + tile * tq::QUERIES) * HEAD_DIM, int(thread_index_in_threadgroup));
