// GPUs as JavaScript sees them: what there is, memory, streams.
#include "../../cuda/device.h"

#include "binding.h"

namespace {

int deviceOf(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

void* pointerOf(const Napi::Value& value) {
  bool lossless = false;
  const uint64_t address = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) fail(Napi::RangeError::New(value.Env(), "expected an address as a bigint of 64 bits"), "ERR_CUDA_POINTER");
  return reinterpret_cast<void*>(uintptr_t(address));
}

Napi::Value fromPointer(Napi::Env env, const void* pointer) {
  return Napi::BigInt::New(env, uint64_t(reinterpret_cast<uintptr_t>(pointer)));
}

// Memory of a device that has at least so many bytes.
SharedMemory memoryOf(const Napi::Value& value, size_t bytes = 0) {
  SharedMemory memory = MemoryHandle::from(value);
  if (memory->device < 0) fail(Napi::TypeError::New(value.Env(), "expected memory of a device"), "ERR_OPT_DEVICE");
  if (memory->bytes < bytes) fail(Napi::RangeError::New(value.Env(), "more bytes than the memory has"), "ERR_OPT_LENGTH");
  return memory;
}

struct Bytes {
  const void* data;
  size_t bytes;
};
Bytes bytesOf(const Napi::Value& value) {
  if (!value.IsTypedArray()) fail(Napi::TypeError::New(value.Env(), "expected a typed array"), "ERR_OPT_ARRAY_TYPE");
  void* data = nullptr;
  napi_get_typedarray_info(value.Env(), value, nullptr, nullptr, &data, nullptr, nullptr);
  return {data, value.As<Napi::TypedArray>().ByteLength()};
}

Napi::Value describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const cuda::Startup& found = cuda::startup();
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", found.code != nullptr ? Napi::String::New(env, found.code) : env.Null());
  object.Set("message", found.code != nullptr ? Napi::String::New(env, found.message) : env.Null());
  object.Set("driver", found.driver);
  object.Set("runtime", found.runtime);
  Napi::Array gpus = Napi::Array::New(env);
  for (const cuda::Gpu& gpu : found.gpus) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("name", gpu.name);
    one.Set("uuid", gpu.uuid);
    one.Set("memory", double(gpu.memory));
    one.Set("capability", std::to_string(gpu.major) + "." + std::to_string(gpu.minor));
    one.Set("processors", gpu.processors);
    gpus.Set(gpus.Length(), one);
  }
  object.Set("gpus", gpus);
  return object;
}

// Memory of a device, and memory of the host for all of it.
std::pair<SharedMemory, SharedMemory> toHost(const Napi::CallbackInfo& info) {
  const SharedMemory from = memoryOf(info[0]), to = MemoryHandle::from(info[1]);
  if (to->device >= 0 || to->bytes < from->bytes)
    fail(Napi::RangeError::New(info.Env(), "expected memory of the host for all bytes"), "ERR_OPT_LENGTH");
  return {from, to};
}

// read(from, to, done): done(undefined or an error) when the host has what `from` is now.
void read(const Napi::CallbackInfo& info) {
  const auto both = toHost(info);
  const SharedMemory from = both.first, to = both.second;
  const auto reading = withCuda(info.Env(), [&] { return std::make_shared<cuda::Reading>(from); });
  auto step = std::make_unique<AsyncStep>();
  step->held = {from, to};
  step->work = [reading, to] { return reading->finish(to->data), 0.0; };
  Environment::of(info.Env()).start(std::move(step), info[0].As<Napi::Object>(), info[2].As<Napi::Function>());
}

// readNow(from, to): the same at once.
void readNow(const Napi::CallbackInfo& info) {
  const auto both = toHost(info);
  withCuda(info.Env(), [&] { cuda::Reading(both.first).finish(both.second->data); });
}

// putRows(dense, bytes of an element, rows, columns, values or null).
void putRowsOn(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const SharedMemory dense = memoryOf(info[0]);
  const size_t size = info[1].As<Napi::Number>().Int32Value() == 0 ? sizeof(float) : sizeof(double);
  const Bytes rows = bytesOf(info[2]), values = info[4].IsNull() ? Bytes{nullptr, 0} : bytesOf(info[4]);
  const double columns = info[3].As<Napi::Number>().DoubleValue();
  const size_t count = rows.bytes / sizeof(uint32_t);
  bool fits = columns >= 0 && columns <= double(dense->bytes / size);
  const size_t bytes = fits ? size_t(columns) * size : 0;
  fits = fits && (values.data == nullptr || bytes == 0 || values.bytes / bytes >= count);
  for (size_t i = 0; fits && bytes > 0 && i < count; ++i) fits = static_cast<const uint32_t*>(rows.data)[i] < dense->bytes / bytes;
  if (!fits) fail(Napi::RangeError::New(env, "rows do not fit their arrays"), "ERR_OPT_LENGTH");
  withCuda(env, [&] { cuda::putRows(*dense, static_cast<const uint32_t*>(rows.data), count, bytes, values.data); });
}

using Shared = std::shared_ptr<cuda::Mark>;
constexpr napi_type_tag kMarkTag = {0x6b65726173206d61, 0x726b206f66206375};

Shared& markOf(const Napi::Value& value) {
  void* data = nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kMarkTag) ||
      napi_unwrap(value.Env(), value, &data) != napi_ok)
    fail(Napi::TypeError::New(value.Env(), "expected a mark"), "ERR_OPT_CONFIG_TYPE");
  return *static_cast<Shared*>(data);
}

// mark(device, timed): { reached, wait, since }.
Napi::Value mark(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Shared mark = withCuda(env, [&] { return std::make_shared<cuda::Mark>(deviceOf(info[0]), info[1].ToBoolean()); });
  Napi::Object object = Napi::Object::New(env);
  object.Set("reached", Napi::Function::New(env, [mark](const Napi::CallbackInfo& call) -> Napi::Value {
               return Napi::Boolean::New(call.Env(), withCuda(call.Env(), [&] { return mark->reached(); }));
             }));
  object.Set("wait", Napi::Function::New(env, [mark](const Napi::CallbackInfo& call) {
               withCuda(call.Env(), [&] { mark->wait(); });
             }));
  object.Set("since", Napi::Function::New(env, [mark](const Napi::CallbackInfo& call) -> Napi::Value {
               const Shared earlier = markOf(call[0]);
               return Napi::Number::New(call.Env(), withCuda(call.Env(), [&] { return double(mark->since(*earlier)); }));
             }));
  object.TypeTag(&kMarkTag);
  napi_wrap(env, object, new Shared(mark), [](napi_env, void* data, void*) { delete static_cast<Shared*>(data); }, nullptr, nullptr);
  return object;
}

}  // namespace

Napi::Object cudaFace(Napi::Env env) {
  Napi::Object face = Napi::Object::New(env);
  const auto set = [&](const char* name, auto function) { face.Set(name, Napi::Function::New(env, function)); };
  face.Set("built", cuda::kBuilt);
  face.Set("emulated", cuda::kEmulated);
  set("startup", describe);
  set("liveBytes", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Number::New(info.Env(), double(withCuda(info.Env(), [&] { return cuda::liveBytes(deviceOf(info[0])); })));
  });
  set("stream", [](const Napi::CallbackInfo& info) -> Napi::Value {
    return fromPointer(info.Env(), withCuda(info.Env(), [&] { return cuda::streamOf(deviceOf(info[0])); }));
  });
  set("useStream", [](const Napi::CallbackInfo& info) {
    withCuda(info.Env(), [&] { cuda::useStream(deviceOf(info[0]), pointerOf(info[1])); });
  });
  set("borrow", [](const Napi::CallbackInfo& info) -> Napi::Value {
    const size_t bytes = size_t(info[2].As<Napi::Number>().DoubleValue());
    return MemoryHandle::of(info.Env(), withCuda(info.Env(), [&] { return cuda::borrow(deviceOf(info[0]), pointerOf(info[1]), bytes); }));
  });
  set("waitFor", [](const Napi::CallbackInfo& info) {
    withCuda(info.Env(), [&] { cuda::waitFor(deviceOf(info[0]), pointerOf(info[1])); });
  });
  set("waitIn", [](const Napi::CallbackInfo& info) {
    withCuda(info.Env(), [&] { cuda::waitIn(deviceOf(info[0]), pointerOf(info[1])); });
  });
  set("write", [](const Napi::CallbackInfo& info) {
    const Bytes from = bytesOf(info[1]);
    const SharedMemory to = memoryOf(info[0], from.bytes);
    withCuda(info.Env(), [&] { cuda::write(*to, from.data, from.bytes); });
  });
  set("copy", [](const Napi::CallbackInfo& info) {
    const SharedMemory from = memoryOf(info[1]), to = memoryOf(info[0], from->bytes);
    if (from->device != to->device) fail(Napi::Error::New(info.Env(), "expected memory of one device"), "ERR_OPT_DEVICE");
    withCuda(info.Env(), [&] { cuda::copy(*to, *from, from->bytes); });
  });
  set("read", read);
  set("readNow", readNow);
  set("putRows", putRowsOn);
  set("mark", mark);
  return face;
}
