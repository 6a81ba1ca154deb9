// The Node-API wall: checks what would corrupt memory, converts, forwards; computes nothing.
#pragma once
#include <napi.h>

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

// What an environment (the main thread or a worker) has of its own.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }
  // Runs a step off the event loop, then calls done(its result, an error if there is one). `holder` stays alive until then.
  void start(std::unique_ptr<AsyncStep> step, Napi::Object holder, Napi::Function done);

  Napi::FunctionReference memories;  // the class Memory

 private:
  struct Pending {
    napi_ref plan, done;
  };
  static void stop(void* environment);
  static void finish(napi_env env, napi_value, void* context, void* data);

  napi_threadsafe_function wake_ = nullptr;
  std::unique_ptr<Driver> driver_;
  std::deque<Pending> pending_;  // in the order of their steps
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
  void release(const Napi::CallbackInfo& info);

  SharedMemory memory_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  size_t reported_ = 0;  // bytes of a device that the garbage collector has been told of
};

// newPlan(backend index, passes, number of variables, memory of the controls): { bind, run, runAsync, finite, finiteAsync, release }.
Napi::Value newPlan(const Napi::CallbackInfo& info);

// mergeRows(values, indices, rows, columns, sums, merged, keys): the number of rows, or -1 - i if index i is none of `rows`.
Napi::Value mergeRows(const Napi::CallbackInfo& info);
// putRows(dense, rows, columns, values or null).
void putRows(const Napi::CallbackInfo& info);

// What lib/native.ts has as `cuda`.
Napi::Object cudaFace(Napi::Env env);
