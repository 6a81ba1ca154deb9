#include "driver.h"

#include "../cuda/device.h"

void Driver::start(std::unique_ptr<AsyncStep> step) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { drive(); });
  waiting_.push_back(std::move(step));
  wake_.notify_one();
}

void Driver::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    waiting_.clear();
    if (running_) running_->cancel();
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<AsyncStep> Driver::next() {
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
  if (stopping_) return nullptr;
  std::unique_ptr<AsyncStep> step = std::move(waiting_.front());
  waiting_.pop_front();
  running_ = step->plan;
  return step;
}

void Driver::drive() noexcept {
  while (std::unique_ptr<AsyncStep> step = next()) {
    try {
      step->result = step->work();
    } catch (const cuda::Error& error) {
      step->code = error.code;
      step->error = error.what();
    }
    step->work = nullptr;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      running_.reset();
    }
    finished_(std::move(step));
  }
}
