// Behind the first pass where there is no second: whichever threadgroup finishes last merges what all of them found.
SHARED_ARRAY(word, arrival, 1);
const long all = part - split_at;
if (tq::arrives_last(tickets + all / splits, splits, index, arrival)) {
  tq::merge_splits<HEAD_DIM / 32, SIMDS, T>(
      sums + all * tq::QUERIES * HEAD_DIM, statistics + all * tq::QUERIES * 2, splits, split.queries, signs, rotated,
      peaks, out + ((long(row) * heads + head) * group * length + split.first_query) * HEAD_DIM, index);
}
