#include "threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace {

// Pieces begin .. end - 1 that one thread starts with: it takes from the front, the others, when they are done with their own,
// from the back. So each core keeps its part of the arrays in its own cache step after step.
struct alignas(64) Range {
  std::atomic<uint64_t> ends{0};  // begin in the upper half, end in the lower

  static uint64_t pack(uint64_t begin, uint64_t end) { return begin << 32 | end; }

  bool take(bool front, size_t& piece) {
    uint64_t now = ends.load(std::memory_order_acquire);
    for (;;) {
      const uint64_t begin = now >> 32, end = now & 0xffffffffu;
      if (begin >= end) return false;
      piece = size_t(front ? begin : end - 1);
      const uint64_t next = front ? pack(begin + 1, end) : pack(begin, end - 1);
      if (ends.compare_exchange_weak(now, next, std::memory_order_acq_rel)) return true;
    }
  }
};

struct Job {
  void (*body)(const void*, size_t);
  const void* context;
  std::vector<Range> ranges;
  std::atomic<size_t> unfinished;
  std::atomic<size_t> joined{1};  // the caller has the first range

  Job(size_t count, size_t threads, void (*work)(const void*, size_t), const void* with)
      : body(work), context(with), ranges(threads), unfinished(count) {
    for (size_t t = 0; t < threads; ++t) ranges[t].ends = Range::pack(count * t / threads, count * (t + 1) / threads);
  }

  bool take(size_t own, size_t& piece) {
    if (ranges[own].take(true, piece)) return true;
    for (size_t other = 1; other < ranges.size(); ++other)
      if (ranges[(own + other) % ranges.size()].take(false, piece)) return true;
    return false;
  }

  // Runs pieces until none is left, or `most` of them. False when none is left.
  bool work(size_t own, size_t most) {
    size_t piece;
    for (size_t done = 0; done < most; ++done) {
      if (!take(own, piece)) return false;
      body(context, piece);
      unfinished.fetch_sub(1, std::memory_order_acq_rel);
    }
    return true;
  }
};

class Pool {
 public:
  std::atomic<int> count{0};  // 0: nobody has set it yet

  void run(size_t pieces, void (*body)(const void*, size_t), const void* context) {
    const size_t threads = std::min(pieces, size_t(std::max(1, count.load())));
    const Shared job = threads > 1 && hire(threads - 1) ? post(pieces, threads, body, context) : nullptr;
    if (job) return finish(job);
    for (size_t i = 0; i < pieces; ++i) body(context, i);
  }

 private:
  using Shared = std::shared_ptr<Job>;

  void finish(const Shared& job) {
    job->work(0, ~size_t(0));
    withdraw(job);
    for (int spins = 0; job->unfinished.load(std::memory_order_acquire) > 0; ++spins)
      if (spins > 1000) std::this_thread::yield();
  }

  // At least one helper runs afterwards, unless the system gives no thread.
  bool hire(size_t wanted) {
    if (helpers_.load() >= wanted) return true;
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
      for (; helpers_ < wanted; ++helpers_) std::thread([this] { help(); }).detach();
    } catch (const std::exception&) {
      // fewer threads, the same result
    }
    return helpers_ > 0;
  }

  // Null if there is no memory for it: then the caller works alone.
  Shared post(size_t pieces, size_t threads, void (*body)(const void*, size_t), const void* context) {
    Shared job;
    try {
      job = std::make_shared<Job>(pieces, threads, body, context);
      const std::lock_guard<std::mutex> lock(mutex_);
      jobs_.push_back(job);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
    posted_.fetch_add(1);
    wake_.notify_all();
    return job;
  }

  void withdraw(const Shared& job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find(jobs_.begin(), jobs_.end(), job);
    if (found != jobs_.end()) jobs_.erase(found);
  }

  // The environments' jobs in turn, a few pieces of each while there are several.
  void help() noexcept {
    for (;;) {
      const Shared job = next();
      const size_t own = job->joined.fetch_add(1);
      if (own < job->ranges.size()) helpWith(job, own);
      else withdraw(job);  // enough threads work on it
    }
  }

  void helpWith(const Shared& job, size_t own) {
    constexpr size_t kTurn = 16;
    while (job->work(own, kTurn)) {
      const Shared other = rival(job);
      if (other) other->work(other->ranges.size() - 1, kTurn);
    }
    withdraw(job);
  }

  Shared rival(const Shared& job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Shared& other : jobs_)
      if (other != job) return other;
    return nullptr;
  }

  Shared next() {
    spin();
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [this] { return !jobs_.empty(); });
    return jobs_[turn_++ % jobs_.size()];
  }

  // A step is often followed by the next pass within microseconds: waking a sleeping helper takes longer.
  void spin() const {
    const uint64_t seen = posted_.load();
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
    while (posted_.load() == seen && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Shared> jobs_;
  std::atomic<uint64_t> posted_{0};
  std::atomic<size_t> helpers_{0};
  size_t turn_ = 0;
};

// Never destroyed: helpers wait in it while the process exits.
Pool& pool() {
  static Pool& pool = *new Pool;
  return pool;
}

}  // namespace

int threadCount() { return pool().count.load(); }
void setThreadCount(int count) { pool().count.store(count); }
void parallelFor(size_t count, void (*body)(const void*, size_t), const void* context) {
  pool().run(count, body, context);
}
