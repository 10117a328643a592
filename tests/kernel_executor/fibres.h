// Runs the threads of one threadgroup as fibres of one thread: each runs until it must wait for others.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

namespace fibres {

constexpr int LANES = 32;
constexpr std::size_t STACK = 256 << 10;

struct Fibre {
  ucontext_t context;
  jmp_buf place;
  bool started, finished;
  int operations;  // exchanges between lanes so far
};

inline std::vector<Fibre> all;
inline std::vector<char> stacks;
inline std::function<void()> work;
inline int current, running;
inline int arrived, generation;                        // of the whole threadgroup's barrier
inline std::vector<int> simd_arrived, simd_generation;  // of each group of lanes
inline std::vector<uint32_t> mail;                     // two boxes per lane, of up to 8 words each
inline ucontext_t home;
inline jmp_buf home_place;

inline void begin() {
  work();
  all[current].finished = true;
  running--;
  _longjmp(home_place, 1);
}

/// Let the next unfinished fibre run.
inline void resume(int next) {
  current = next;
  Fibre& fibre = all[next];
  if (fibre.started) _longjmp(fibre.place, 1);
  fibre.started = true;
  setcontext(&fibre.context);
}

inline int next_fibre() {
  int next = current;
  do next = (next + 1) % int(all.size());
  while (all[next].finished);
  return next;
}

inline void yield() {
  const int next = next_fibre();
  if (next == current) {
    std::abort();  // everybody waits
  }
  if (!_setjmp(all[current].place)) resume(next);
}

inline void barrier() {
  const int mine = generation;
  if (++arrived == int(all.size())) {
    arrived = 0;
    generation++;
  }
  while (generation == mine) yield();
}

inline void simd_barrier() {
  const int simd = current / LANES, mine = simd_generation[simd];
  if (++simd_arrived[simd] == LANES) {
    simd_arrived[simd] = 0;
    simd_generation[simd]++;
  }
  while (simd_generation[simd] == mine) yield();
}

/// Show every lane of the group what each of them has to say: N words by lane. Boxes alternate, so one wait suffices.
template <int N>
struct Heard {
  uint32_t words[LANES][N];
};

template <int N>
Heard<N> exchange(const uint32_t (&said)[N]) {
  const int simd = current / LANES, lane = current % LANES, box = all[current].operations++ % 2;
  std::memcpy(&mail[((simd * 2 + box) * LANES + lane) * 8], said, sizeof said);
  simd_barrier();
  Heard<N> heard;
  for (int other = 0; other < LANES; other++) {
    std::memcpy(heard.words[other], &mail[((simd * 2 + box) * LANES + other) * 8], sizeof said);
  }
  return heard;
}

inline float exchange_float(float x, int from) {
  uint32_t said[1];
  std::memcpy(said, &x, 4);
  const Heard<1> heard = exchange(said);
  std::memcpy(&x, heard.words[from & (LANES - 1)], 4);
  return x;
}

/// Run a threadgroup to its end.
inline void run(int threads, std::function<void()> kernel) {
  work = kernel;
  all.assign(threads, Fibre{});
  stacks.resize(std::size_t(threads) * STACK);
  simd_arrived.assign(threads / LANES, 0);
  simd_generation.assign(threads / LANES, 0);
  mail.assign(std::size_t(threads) * 2 * 8, 0);
  arrived = generation = 0;
  running = threads;
  for (int i = 0; i < threads; i++) {
    getcontext(&all[i].context);
    all[i].context.uc_stack.ss_sp = &stacks[std::size_t(i) * STACK];
    all[i].context.uc_stack.ss_size = STACK;
    all[i].context.uc_link = nullptr;
    makecontext(&all[i].context, begin, 0);
  }
  current = threads - 1;
  _setjmp(home_place);  // a fibre that ends comes back here
  if (running) resume(next_fibre());
}

}  // namespace fibres
