// The thread that makes every call to an engine (MPI wants one thread, and all want one order): one piece of work after the other, in
// the order in which they were added. Work is polled, so that it can be given up. Nobody ever waits for this thread, since a call of an
// engine's may wait for another process for ever.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "../driver.h"

namespace distributed {

struct Work {
  std::function<bool()> poll;       // whether it has ended; called until it has
  std::unique_ptr<AsyncStep> step;  // what is posted then
  std::chrono::microseconds eager;  // for how long it is polled without a rest
  bool last = false;                // the thread ends with it
};

class Line : public std::enable_shared_from_this<Line> {
 public:
  // `finished` is called on the thread for all work that has ended, or failed.
  explicit Line(std::function<void(std::unique_ptr<AsyncStep>)> finished) : finished_(std::move(finished)) {}
  // Throws std::system_error if the system gives no thread. Work that comes after stop() fails as what was there did.
  void add(Work work);
  // All work fails, with ERR_COMM_ABORTED and this text; the thread runs `end`, which must not throw, and ends. From any thread.
  void stop(const std::string& why, std::function<void()> end);

 private:
  void run() noexcept;
  bool next(Work& work);
  void finish(Work& work, const char* code, const std::string& error);
  bool attempt(Work& work);
  void rest(const Work& work, std::chrono::steady_clock::time_point since);

  const std::function<void(std::unique_ptr<AsyncStep>)> finished_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> waiting_;
  std::function<void()> end_;
  std::string why_;
  std::atomic<bool> stopping_{false};
  bool running_ = false;
};

// Ends the process with that code after two seconds: for a call of an engine's that should end it, and may hang.
void exitSoon(int exitCode);

}  // namespace distributed
