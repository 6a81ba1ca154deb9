// The thread that runs an environment's asynchronous steps, one after the other, off its event loop. Made with the first
// step; the environment's cleanup hook cancels what runs and joins the thread before any memory of the environment goes.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "plan.h"

// What JavaScript waits with, which only its environment knows.
struct Waiting {
  void *holder, *done;
};

struct AsyncStep {
  std::shared_ptr<Plan> plan;      // null for other work than a step
  std::vector<SharedMemory> held;  // what the gradients lie in
  std::function<double()> work;
  double result = -1;      // the norm; of a check 1 or 0
  std::string code, error;  // if it failed
  Waiting waiting = {};
};

class Driver {
 public:
  // `finished` is called on the driver's thread for every step that ran to its end.
  explicit Driver(std::function<void(std::unique_ptr<AsyncStep>)> finished) : finished_(std::move(finished)) {}
  ~Driver() { stop(); }
  // Throws std::system_error if the system gives no thread.
  void start(std::unique_ptr<AsyncStep> step);
  void stop();

 private:
  void drive() noexcept;
  std::unique_ptr<AsyncStep> next();

  std::function<void(std::unique_ptr<AsyncStep>)> finished_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<AsyncStep>> waiting_;
  std::shared_ptr<Plan> running_;
  bool stopping_ = false;
  std::thread thread_;
};
