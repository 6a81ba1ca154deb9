// The Node-API wall: checks what would corrupt memory, converts, forwards; computes nothing.
#pragma once
#include <napi.h>

#include "../memory.h"

// A JavaScript error of the given class with a stable code.
[[noreturn]] void fail(Napi::Error error, const char* code);

// Memory's face in JavaScript: { buffer: ArrayBuffer, release() }.
class MemoryHandle : public Napi::ObjectWrap<MemoryHandle> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit MemoryHandle(const Napi::CallbackInfo& info);
  // The memory behind a handle; throws for anything else and after release().
  static SharedMemory from(const Napi::Value& value);

 private:
  Napi::Value buffer(const Napi::CallbackInfo& info);
  void release(const Napi::CallbackInfo& info);

  SharedMemory memory_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

Napi::Function definePlan(Napi::Env env);
