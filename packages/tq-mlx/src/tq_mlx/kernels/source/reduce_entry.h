// A second pass: merge what the first one's splits found.
const DEVICE int* plan = (const DEVICE int*)(numbers + PLAN_AT);
const int splits = plan[0], tiles = plan[1], rows = plan[2] * plan[3];
const int tile = int(threadgroup_position_in_grid.y), pair = int(threadgroup_position_in_grid.z);
const long first = (long(pair) * tiles + tile) * splits;
const DEVICE float* statistics = partials + long(plan[7]) * (tq::QUERIES * HEAD_DIM);
SHARED_ARRAY(float, merged, SIMDS * HEAD_DIM);
SHARED_ARRAY(float, weights, SIMDS);
tq::merge_splits<HEAD_DIM / 32, SIMDS, T>(
    partials + first * tq::QUERIES * HEAD_DIM, statistics + first * tq::QUERIES * 2, splits,
    min(int(tq::QUERIES), rows - tile * tq::QUERIES), (const DEVICE float*)numbers + 8, merged, weights,
    out + (long(pair) * rows + tile * tq::QUERIES) * HEAD_DIM, int(thread_index_in_threadgroup));
