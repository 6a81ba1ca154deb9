#include <cmath>
#include <new>
#include <utility>

#include "binding.h"

namespace {
constexpr napi_type_tag kTag = {0x6b65726173206f70, 0x74206d656d6f7279};
constexpr double kMaxBytes = 9007199254740992;

// Tells the garbage collector. Raw Node-API: in an environment that is going away this fails, and nothing may be thrown.
void report(napi_env env, int64_t bytes) {
  int64_t total;
  napi_adjust_external_memory(env, bytes, &total);
}
}  // namespace

Napi::Function MemoryHandle::define(Napi::Env env) {
  const Napi::Function constructor = DefineClass(env, "Memory",
                     {InstanceMethod<&MemoryHandle::buffer>("buffer"), InstanceMethod<&MemoryHandle::release>("release"),
                      InstanceMethod<&MemoryHandle::part>("part"),
                      InstanceAccessor<&MemoryHandle::device>("device"), InstanceAccessor<&MemoryHandle::address>("address")});
  Environment::of(env).memories = Napi::Persistent(constructor);
  return constructor;
}

Napi::Value MemoryHandle::of(Napi::Env env, SharedMemory memory) {
  return Environment::of(env).memories.New({Napi::External<SharedMemory>::New(env, &memory)});
}

bool MemoryHandle::is(napi_env env, napi_value value) {
  bool is = false;
  napi_valuetype type;  // asked first: the tag of null is a pending exception
  return napi_typeof(env, value, &type) == napi_ok && type == napi_object &&
         napi_check_object_type_tag(env, value, &kTag, &is) == napi_ok && is;
}

// Memory(bytes, offset, device), or Memory(an External of a SharedMemory).
MemoryHandle::MemoryHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  if (info[0].IsExternal()) {
    memory_ = *info[0].As<Napi::External<SharedMemory>>().Data();
    info.This().As<Napi::Object>().TypeTag(&kTag);
    return;
  }
  const double bytes = info[0].As<Napi::Number>().DoubleValue();
  if (!(bytes >= 0 && bytes < kMaxBytes && bytes == std::floor(bytes)))
    fail(Napi::RangeError::New(info.Env(), "Memory expects a whole number of bytes"), "ERR_OPT_TOO_LARGE");
  const double offset = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : 0;
  if (!(offset >= 0 && offset < 4096 && offset == std::floor(offset)))
    fail(Napi::RangeError::New(info.Env(), "Memory expects an offset below 4096"), "ERR_OPT_CONFIG_RANGE");
  const int device = info[2].IsNumber() ? info[2].As<Napi::Number>().Int32Value() : -1;
  try {
    if (device >= 0) {
      memory_ = withCuda(info.Env(), [&] { return cuda::allocate(device, size_t(bytes)); });
      report(info.Env(), int64_t(reported_ = size_t(bytes)));  // what has no ArrayBuffer weighs nothing otherwise
    } else memory_ = std::make_shared<Memory>(size_t(bytes), size_t(offset));
  } catch (const std::bad_alloc&) {
    fail(Napi::RangeError::New(info.Env(), "out of memory: " + std::to_string(size_t(bytes)) + " bytes could not be allocated"),
         "ERR_OPT_OOM");
  }
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

SharedMemory MemoryHandle::from(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag))
    fail(Napi::TypeError::New(value.Env(), "expected a Memory"), "ERR_OPT_ARRAY_TYPE");
  SharedMemory memory = Unwrap(value.As<Napi::Object>())->memory_;
  if (!memory) fail(Napi::Error::New(value.Env(), "this memory has been disposed of"), "ERR_OPT_DISPOSED");
  return memory;
}

// The ArrayBuffer shares the memory: it stays valid after release(), which detaches it, and after a transfer. It is held
// weakly, since JavaScript finds the handle of a buffer in a map: both together would never be collected.
Napi::Value MemoryHandle::buffer(const Napi::CallbackInfo& info) {
  if (!buffer_.IsEmpty() && !buffer_.Value().IsEmpty()) return buffer_.Value();
  SharedMemory memory = from(info.This());
  if (memory->device >= 0) fail(Napi::TypeError::New(info.Env(), "memory of a device has no ArrayBuffer"), "ERR_OPT_DEVICE");
  const auto drop = [](Napi::Env env, void*, SharedMemory* shared) {
    report(env, -int64_t((*shared)->bytes));
    delete shared;
  };
  auto shared = std::make_unique<SharedMemory>(memory);
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), memory->data, memory->bytes, drop, shared.get());
  shared.release();  // the buffer's, now that there is one
  report(info.Env(), int64_t(memory->bytes));
  buffer_ = Napi::Reference<Napi::ArrayBuffer>::New(buffer, 0);
  return buffer;
}

// part(begin, bytes): these bytes, as a memory of their own that holds this one alive.
Napi::Value MemoryHandle::part(const Napi::CallbackInfo& info) {
  const SharedMemory memory = from(info.This());
  const double begin = info[0].As<Napi::Number>().DoubleValue(), bytes = info[1].As<Napi::Number>().DoubleValue();
  if (!(begin >= 0 && bytes >= 0 && begin + bytes <= double(memory->bytes)))
    fail(Napi::RangeError::New(info.Env(), "a part of a memory expects to lie within it"), "ERR_OPT_LENGTH");
  return of(info.Env(), std::make_shared<MemoryPart>(memory, size_t(begin), size_t(bytes)));
}

Napi::Value MemoryHandle::device(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), from(info.This())->device);
}

Napi::Value MemoryHandle::address(const Napi::CallbackInfo& info) {
  return Napi::BigInt::New(info.Env(), uint64_t(reinterpret_cast<uintptr_t>(from(info.This())->data)));
}

MemoryHandle::~MemoryHandle() {
  if (reported_ > 0) report(Env(), -int64_t(reported_));
}

void MemoryHandle::release(const Napi::CallbackInfo& info) {
  if (reported_ > 0) report(info.Env(), -int64_t(std::exchange(reported_, 0)));
  if (!buffer_.IsEmpty() && !buffer_.Value().IsEmpty() && !buffer_.Value().IsDetached()) buffer_.Value().Detach();
  buffer_.Reset();
  memory_.reset();
}
