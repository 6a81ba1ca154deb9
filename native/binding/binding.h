// The Node-API wall: checks what would corrupt memory, converts, forwards; computes nothing.
#pragma once
#include <functional>
#include <napi.h>

#include <memory>
#include <mutex>

#include "../../cuda/device.h"
#include "../driver.h"
#include "../memory.h"

// A JavaScript error of the given class with a stable code.
[[noreturn]] void fail(Napi::Error error, const char* code);

// Runs a part that may throw an error of CUDA's, which becomes one of JavaScript's.
template <class Part>
auto withCuda(Napi::Env env, const Part& part) {
  try {
    return part();
  } catch (const cuda::Error& error) {
    if (error.code == std::string("ERR_OPT_OOM")) fail(Napi::RangeError::New(env, error.what()), error.code);
    fail(Napi::Error::New(env, error.what()), error.code);
  }
}

// Where other threads leave what they have done for an environment's. It may outlive the environment: then it drops it.
class Mailbox {
 public:
  explicit Mailbox(napi_threadsafe_function wake) : wake_(wake) {}
  void post(std::unique_ptr<AsyncStep> step);  // from any thread
  void close();

 private:
  std::mutex mutex_;
  napi_threadsafe_function wake_;
};

// What an environment (the main thread or a worker) has of its own.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }
  // Runs a step off the event loop, then calls done(its result, an error if there is one). `holder` stays alive until then.
  void start(std::unique_ptr<AsyncStep> step, Napi::Object holder, Napi::Function done);
  // The same for a step that `begin` gives to somebody else, who runs and posts it.
  void expect(std::unique_ptr<AsyncStep> step, Napi::Object holder, Napi::Function done,
              const std::function<void(std::unique_ptr<AsyncStep>)>& begin);
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }

  Napi::FunctionReference memories, connections;  // the classes Memory and Connection

 private:
  void forget(Waiting waiting);
  static void stop(void* environment);
  static void finish(napi_env env, napi_value, void* context, void* data);

  const napi_env env_;
  napi_threadsafe_function wake_ = nullptr;
  std::shared_ptr<Mailbox> mailbox_;
  std::unique_ptr<Driver> driver_;
  size_t expected_ = 0;
};

// Memory's face in JavaScript: { buffer(): ArrayBuffer, release() }.
class MemoryHandle : public Napi::ObjectWrap<MemoryHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit MemoryHandle(const Napi::CallbackInfo& info);
  ~MemoryHandle() override;
  // The memory behind a handle; throws for anything else and after release().
  static SharedMemory from(const Napi::Value& value);
  static bool is(napi_env env, napi_value value);
  static Napi::Value of(Napi::Env env, SharedMemory memory);

 private:
  Napi::Value device(const Napi::CallbackInfo& info);
  Napi::Value address(const Napi::CallbackInfo& info);
  Napi::Value buffer(const Napi::CallbackInfo& info);
  Napi::Value part(const Napi::CallbackInfo& info);
  void release(const Napi::CallbackInfo& info);

  SharedMemory memory_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  size_t reported_ = 0;  // bytes of a device that the garbage collector has been told of
};

// newPlan(backend index, passes, number of variables, memory of the controls): { bind, run, runAsync, sumsAsync, finite, finiteAsync, release }.
Napi::Value newPlan(const Napi::CallbackInfo& info);

// mergeRows(values, indices, rows, columns, sums, merged, keys): the number of rows, or -1 - i if index i is none of `rows`.
Napi::Value mergeRows(const Napi::CallbackInfo& info);
// putRows(dense, rows, columns, values or null).
void putRows(const Napi::CallbackInfo& info);

// What lib/native.ts has as `distributed`.
Napi::Object distributedFace(Napi::Env env);

// What lib/native.ts has as `cuda`.
Napi::Object cudaFace(Napi::Env env);
