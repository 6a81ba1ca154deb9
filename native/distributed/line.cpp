#include "line.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <shared_mutex>
#include <thread>

#include "../../cuda/device.h"
#include "engine.h"

namespace distributed {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// Keeps calls to engines apart from the exit of the process, which takes their libraries down. Never destroyed.
struct Gate {
  std::atomic<bool> leaving{false};
  std::shared_mutex calls;

  static Gate& gate() {
    static Gate& gate = *new Gate;
    return gate;
  }
  // To be called when an engine's libraries are there: what is registered last runs first.
  static void closeAtExit() {
    std::atexit([] {
      if (gate().leaving.exchange(true)) return;
      // A call may hang: the process ends all the same. (To wait with a lock asks for glibc 2.30, as does a condition variable below.)
      for (int i = 0; i < 200 && !gate().calls.try_lock(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  }
  // Makes a call, unless the process is going away: then the thread goes no further.
  template <class Call>
  auto pass(const Call& call) {
    while (leaving) std::this_thread::sleep_for(std::chrono::hours(1));
    const std::shared_lock<std::shared_mutex> lock(calls);
    return call();
  }
};

}  // namespace

void Line::add(Work work) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return finish(work, "ERR_COMM_ABORTED", why_);
  if (!running_) std::thread([self = shared_from_this()] { self->run(); }).detach();
  running_ = true;
  waiting_.push_back(std::move(work));
  wake_.notify_one();
}

void Line::stop(const std::string& why, std::function<void()> end) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopping_) return;
  why_ = why;
  end_ = std::move(end);
  stopping_ = true;
  if (!running_) std::thread([self = shared_from_this()] { self->run(); }).detach();
  running_ = true;
  wake_.notify_one();
}

// False when there is nothing more to do. What is done next often comes within microseconds: to be woken takes longer.
bool Line::next(Work& work) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto ready = [this] { return stopping_ || !waiting_.empty(); };
  for (const auto until = Clock::now() + microseconds(50); !ready() && Clock::now() < until;) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  wake_.wait(lock, ready);
  if (stopping_) return false;
  work = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

void Line::finish(Work& work, const char* code, const std::string& error) {
  work.poll = nullptr;
  if (code != nullptr) {
    work.step->code = code;
    work.step->error = error;
  }
  finished_(std::move(work.step));
}

// Whether it has ended, well or not.
bool Line::attempt(Work& work) {
  try {
    if (!Gate::gate().pass(work.poll)) return false;
    finish(work, nullptr, "");
  } catch (const Error& error) {
    finish(work, error.code, error.what());
  } catch (const cuda::Error& error) {
    finish(work, error.code, error.what());
  } catch (const std::exception& error) {
    finish(work, "ERR_COMM_ABORTED", error.what());
  }
  return true;
}

// Rests grow with the time that has been waited, so that a late rank costs little time and little of the processor. None is so long that
// it would have to be ended early.
void Line::rest(const Work& work, Clock::time_point since) {
  const auto waited = std::chrono::duration_cast<microseconds>(Clock::now() - since) - work.eager;
  if (waited < microseconds(0)) return std::this_thread::yield();
  std::this_thread::sleep_for(std::clamp(waited / 16, microseconds(20), microseconds(1000)));
}

void Line::run() noexcept {
  bool first = true, last = false;
  for (Work work; !last && next(work); first = false) {
    last = work.last;
    const auto since = Clock::now();
    while (!stopping_ && !attempt(work)) rest(work, since);
    if (work.step) finish(work, "ERR_COMM_ABORTED", why_);
    if (first) Gate::closeAtExit();
  }
  if (last && !stopping_) return;
  Gate::gate().pass(end_);
  end_ = nullptr;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Work& work : waiting_) finish(work, "ERR_COMM_ABORTED", why_);
  waiting_.clear();
}

void exitSoon(int exitCode) {
  std::thread([exitCode] {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    _exit(exitCode);
  }).detach();
}

}  // namespace distributed
