// The network in JavaScript: reads the variables and writes the gradients where they are, in memory of a GPU that belongs to
// somebody else, and tells the streams what has to wait for what. Over 200 lines: half of them check what JavaScript gives.
#include <napi.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gpu.h"
#include "network.h"

namespace {

using std::to_string;

// Runs `work`; an error of the GPU's becomes one of JavaScript's.
template <class Work>
auto guarded(Napi::Env env, Work work) {
  try {
    return work();
  } catch (const gpu::Error& error) {
    Napi::Error thrown = Napi::Error::New(env, error.what());
    thrown.Set("code", "ERR_EXAMPLE_CUDA");
    throw thrown;
  } catch (const std::bad_alloc&) {
    throw Napi::Error::New(env, "out of memory");
  }
}

[[noreturn]] void wrongKind(Napi::Env env, const std::string& message) { throw Napi::TypeError::New(env, message); }
[[noreturn]] void wrongValue(Napi::Env env, const std::string& message) { throw Napi::RangeError::New(env, message); }

// A whole number from `least` to `most`.
size_t whole(const Napi::Value& value, const char* who, size_t least, size_t most) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= double(least) && number <= double(most) && number == double(size_t(number))))
    wrongValue(value.Env(), std::string(who) + " expects a whole number from " + to_string(least) + " to " + to_string(most));
  return size_t(number);
}

template <class Array>
Array typed(const Napi::Value& value, const char* who, napi_typedarray_type type, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    wrongKind(value.Env(), std::string(who) + " expects a " + name);
  return value.As<Array>();
}

// A pointer or a stream.
void* address(const Napi::Value& value, const std::string& who) {
  bool lossless = false;
  const uint64_t bits = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) wrongKind(value.Env(), who + " expects a bigint of 64 bits");
  return reinterpret_cast<void*>(bits);
}
Napi::BigInt asBigInt(Napi::Env env, const void* address) { return Napi::BigInt::New(env, uint64_t(reinterpret_cast<uintptr_t>(address))); }

// Somebody's array on a GPU, as keras-optimizers describes its own: { ptr, shape, dtype, device, stream }.
struct DeviceArray {
  float* data;
  std::optional<gpu::Stream> stream;  // of its owner, who writes and reads it there; if there is none, it is at rest
};

std::string shapeText(const std::vector<size_t>& shape) {
  std::string text;
  for (size_t n : shape) text += (text.empty() ? "" : ", ") + to_string(n);
  return "[" + text + "]";
}

DeviceArray readArray(const Napi::Value& value, const std::string& who, int device, const std::vector<size_t>& shape) {
  const Napi::Env env = value.Env();
  if (!value.IsObject()) wrongKind(env, who + " expects { ptr, shape, dtype, device, stream }");
  const Napi::Object array = value.As<Napi::Object>();
  const auto text = [&](const char* key) { return array.Get(key).ToString().Utf8Value(); };
  if (text("dtype") != "float32") wrongKind(env, who + " expects dtype float32, got " + text("dtype"));
  const std::string expected = "cuda:" + to_string(device);
  if (text("device") != expected) wrongValue(env, who + " expects memory of " + expected + ", got " + text("device"));
  std::vector<size_t> found;
  const Napi::Value sizes = array.Get("shape");
  if (!sizes.IsArray()) wrongKind(env, who + " expects shape to be an array");
  for (uint32_t i = 0; i < sizes.As<Napi::Array>().Length(); i++)
    found.push_back(size_t(sizes.As<Napi::Array>().Get(i).ToNumber().Int64Value()));
  if (found != shape) wrongValue(env, who + " expects shape " + shapeText(shape) + ", got " + shapeText(found));
  float* data = static_cast<float*>(address(array.Get("ptr"), who + ".ptr"));
  if (reinterpret_cast<uintptr_t>(data) % sizeof(float) != 0 || data == nullptr) wrongValue(env, who + " expects a pointer to floats");
  guarded(env, [&] { gpu::checkPointer(device, data); });
  const Napi::Value stream = array.Get("stream");
  if (stream.IsNull() || stream.IsUndefined()) return {data, std::nullopt};
  return {data, address(stream, who + ".stream")};
}

// { ptr: bigint, write(Float32Array, stream), read(stream): Float32Array, release() }: device memory of the example's own, for gradients.
class Memory : public Napi::ObjectWrap<Memory> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Memory",
                       {InstanceAccessor<&Memory::ptr>("ptr"), InstanceMethod<&Memory::write>("write"),
                        InstanceMethod<&Memory::read>("read"), InstanceMethod<&Memory::release>("release")});
  }
  explicit Memory(const Napi::CallbackInfo& info) : ObjectWrap(info), device_(int(whole(info[0], "Memory's device", 0, 1023))) {
    const size_t length = whole(info[1], "Memory's length", 1, size_t(1) << 40);
    guarded(info.Env(), [&] { block_ = std::make_unique<gpu::Block>(device_, length * sizeof(float)); });
  }

 private:
  const gpu::Block& block(Napi::Env env) const {
    if (!block_) throw Napi::Error::New(env, "this memory has been released");
    return *block_;
  }
  Napi::Value ptr(const Napi::CallbackInfo& info) { return asBigInt(info.Env(), block(info.Env()).as<void>()); }
  void write(const Napi::CallbackInfo& info) {
    const auto from = typed<Napi::Float32Array>(info[0], "write", napi_float32_array, "Float32Array");
    const gpu::Stream stream = address(info[1], "stream");
    if (from.ByteLength() != block(info.Env()).bytes()) wrongValue(info.Env(), "write expects as many numbers as there is memory for");
    guarded(info.Env(), [&] { gpu::write(device_, block_->as<void>(), from.Data(), from.ByteLength(), stream); });
  }
  Napi::Value read(const Napi::CallbackInfo& info) {
    const gpu::Block& from = block(info.Env());
    const gpu::Stream stream = address(info[0], "stream");
    auto to = Napi::Float32Array::New(info.Env(), from.bytes() / sizeof(float));
    guarded(info.Env(), [&] {
      gpu::Reading reading(device_, from.as<void>(), from.bytes(), stream);
      const float* numbers = static_cast<const float*>(reading.finish());
      std::copy(numbers, numbers + to.ElementLength(), to.Data());
    });
    return to;
  }
  void release(const Napi::CallbackInfo&) { block_.reset(); }

  int device_;
  std::unique_ptr<gpu::Block> block_;
};

// { handle: bigint }: a stream of the example's own, which ends with the object.
class Stream : public Napi::ObjectWrap<Stream> {
 public:
  static Napi::Function define(Napi::Env env) { return DefineClass(env, "Stream", {InstanceAccessor<&Stream::handle>("handle")}); }
  explicit Stream(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const int device = int(whole(info[0], "Stream's device", 0, 1023));
    guarded(info.Env(), [&] { stream_ = std::make_unique<gpu::OwnStream>(device); });
  }

 private:
  Napi::Value handle(const Napi::CallbackInfo& info) { return asBigInt(info.Env(), stream_->handle()); }
  std::unique_ptr<gpu::OwnStream> stream_;
};

// Waits for a score off the event loop. It holds the network, whose memory it reads.
class ScoreWorker : public Napi::AsyncWorker {
 public:
  ScoreWorker(Napi::Object network, std::unique_ptr<gpu::Reading> reading)
      : AsyncWorker(network.Env()),
        network_(Napi::Persistent(network)),
        deferred_(Napi::Promise::Deferred::New(network.Env())),
        reading_(std::move(reading)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override { score_ = *static_cast<const network::Score*>(reading_->finish()); }  // what it throws rejects
  void OnOK() override {
    auto score = Napi::Object::New(Env());
    score.Set("loss", score_.loss / score_.images);
    score.Set("accuracy", score_.right / score_.images);
    deferred_.Resolve(score);
  }
  void OnError(const Napi::Error& error) override {
    error.Value().Set("code", Napi::String::New(Env(), "ERR_EXAMPLE_CUDA"));
    deferred_.Reject(error.Value());
  }

  Napi::ObjectReference network_;
  Napi::Promise::Deferred deferred_;
  std::unique_ptr<gpu::Reading> reading_;
  network::Score score_{};
};

// A dense layer, and what a batch leaves in it.
struct Layer {
  size_t inputs, outputs;
  std::unique_ptr<gpu::Block> y, dy;
};

// The network, without its variables; its images lie on the GPU. All work is enqueued and goes on after a call has returned; one
// network is for one stream at a time.
class Network : public Napi::ObjectWrap<Network> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Network",
                       {InstanceMethod<&Network::order>("order"), InstanceMethod<&Network::run>("run"),
                        InstanceMethod<&Network::score>("score")});
  }

  explicit Network(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const Napi::Env env = info.Env();
    if (!info[0].IsObject()) wrongKind(env, "Network expects { device, batch, widths, pixels, labels }");
    const auto options = info[0].As<Napi::Object>();
    device_ = int(whole(options.Get("device"), "device", 0, 1023));
    batch_ = whole(options.Get("batch"), "batch", 1, 1 << 20);
    const std::vector<size_t> widths = readWidths(options.Get("widths"));
    const auto pixels = typed<Napi::Uint8Array>(options.Get("pixels"), "pixels", napi_uint8_array, "Uint8Array");
    const auto labels = typed<Napi::Uint8Array>(options.Get("labels"), "labels", napi_uint8_array, "Uint8Array");
    images_ = labels.ElementLength();
    if (images_ == 0 || pixels.ElementLength() != images_ * widths[0])
      wrongValue(env, "pixels expects " + to_string(widths[0]) + " bytes for each of at least one label");
    for (size_t i = 0; i < images_; i++)
      if (labels[i] >= widths.back()) wrongValue(env, "labels[" + to_string(i) + "] expects a number below " + to_string(widths.back()));
    guarded(env, [&] { allocate(widths, pixels.Data(), labels.Data()); });
  }

 private:
  static std::vector<size_t> readWidths(const Napi::Value& value) {
    std::vector<size_t> widths;
    if (value.IsArray())
      for (uint32_t i = 0; i < value.As<Napi::Array>().Length(); i++)
        widths.push_back(whole(value.As<Napi::Array>().Get(i), "widths", 1, 1 << 20));
    if (widths.size() < 2) wrongKind(value.Env(), "widths expects an array of at least two numbers");
    return widths;
  }

  void allocate(const std::vector<size_t>& widths, const uint8_t* pixels, const uint8_t* labels) {
    const auto block = [&](size_t bytes) { return std::make_unique<gpu::Block>(device_, bytes); };
    pixels_ = block(images_ * widths[0]);
    labels_ = block(images_);
    order_ = block(images_ * sizeof(uint32_t));
    scores_ = block(batch_ * sizeof(network::Score));
    total_ = block(sizeof(network::Score));
    x_ = block(batch_ * widths[0] * sizeof(float));
    for (size_t i = 1; i < widths.size(); i++) {
      const size_t bytes = batch_ * widths[i] * sizeof(float);
      layers_.push_back({widths[i - 1], widths[i], block(bytes), block(bytes)});
    }
    gpu::write(device_, pixels_->as<void>(), pixels, images_ * widths[0], nullptr);
    gpu::write(device_, labels_->as<void>(), labels, images_, nullptr);
  }

  // order(indices: Uint32Array, stream): which images `run` counts from now on.
  void order(const Napi::CallbackInfo& info) {
    const auto indices = typed<Napi::Uint32Array>(info[0], "order", napi_uint32_array, "Uint32Array");
    const gpu::Stream stream = address(info[1], "stream");
    if (indices.ElementLength() > images_) wrongValue(info.Env(), "order expects at most " + to_string(images_) + " indices");
    for (size_t i = 0; i < indices.ElementLength(); i++)
      if (indices[i] >= images_) wrongValue(info.Env(), "order[" + to_string(i) + "] expects a number below " + to_string(images_));
    guarded(info.Env(), [&] { gpu::write(device_, order_->as<void>(), indices.Data(), indices.ByteLength(), stream); });
    ordered_ = indices.ElementLength();
  }

  // run(variables, gradients | null, start, count, stream): forward, and backward if there are gradients to write.
  void run(const Napi::CallbackInfo& info) {
    const std::vector<DeviceArray> variables = readArrays(info[0], "variables");
    const bool train = !info[1].IsNull();
    const std::vector<DeviceArray> gradients = train ? readArrays(info[1], "gradients") : std::vector<DeviceArray>();
    const size_t count = whole(info[3], "count", 1, batch_);
    if (count > ordered_) wrongValue(info.Env(), "count expects at most the " + to_string(ordered_) + " images of order");
    const size_t start = whole(info[2], "start", 0, ordered_ - count);
    const gpu::Stream stream = address(info[4], "stream");
    guarded(info.Env(), [&] {
      const std::set<gpu::Stream> readers = streamsOf(variables), writers = streamsOf(gradients);
      // What their owners have under way on these arrays comes first,
      for (const auto& streams : {readers, writers})
        for (gpu::Stream owners : streams) gpu::order(device_, owners, stream);
      forward(variables, start, count, stream);
      if (train) backward(variables, gradients, count, stream);
      // and what they do next waits for this.
      for (gpu::Stream owners : train ? writers : readers) gpu::order(device_, stream, owners);
    });
  }

  static std::set<gpu::Stream> streamsOf(const std::vector<DeviceArray>& arrays) {
    std::set<gpu::Stream> streams;
    for (const DeviceArray& array : arrays)
      if (array.stream) streams.insert(*array.stream);
    return streams;
  }

  // Of every layer its kernel and its bias.
  std::vector<DeviceArray> readArrays(const Napi::Value& value, const std::string& who) const {
    const size_t length = 2 * layers_.size();
    if (!value.IsArray() || value.As<Napi::Array>().Length() != length)
      wrongKind(value.Env(), who + " expects an array of " + to_string(length));
    std::vector<DeviceArray> arrays;
    for (uint32_t i = 0; i < length; i++) {
      const Layer& layer = layers_[i / 2];
      const auto shape = i % 2 == 0 ? std::vector<size_t>{layer.inputs, layer.outputs} : std::vector<size_t>{layer.outputs};
      arrays.push_back(readArray(value.As<Napi::Array>().Get(i), who + "[" + to_string(i) + "]", device_, shape));
    }
    return arrays;
  }

  void forward(const std::vector<DeviceArray>& variables, size_t start, size_t rows, gpu::Stream stream) {
    const uint32_t* chosen = order_->as<uint32_t>() + start;
    gpu::launch(device_, network::Gather{pixels_->as<uint8_t>(), chosen, x_->as<float>(), rows, layers_[0].inputs}, stream);
    for (size_t i = 0; i < layers_.size(); i++) {
      const Layer& layer = layers_[i];
      const bool relu = i + 1 < layers_.size();
      gpu::launch(device_,
                  network::Forward{input(i), variables[2 * i].data, variables[2 * i + 1].data, layer.y->as<float>(), rows,
                                   layer.inputs, layer.outputs, relu},
                  stream);
    }
    const Layer& last = layers_.back();
    gpu::launch(device_,
                network::CrossEntropy{last.y->as<float>(), labels_->as<uint8_t>(), chosen, last.dy->as<float>(),
                                      scores_->as<network::Score>(), rows, last.outputs},
                stream);
    gpu::launch(device_, network::Tally{scores_->as<network::Score>(), total_->as<network::Score>(), rows}, stream);
  }

  void backward(const std::vector<DeviceArray>& variables, const std::vector<DeviceArray>& gradients, size_t rows, gpu::Stream stream) {
    for (size_t i = layers_.size(); i-- > 0;) {
      const auto& [inputs, outputs, y, dy] = layers_[i];
      gpu::launch(device_,
                  network::Weights{input(i), dy->as<float>(), gradients[2 * i].data, gradients[2 * i + 1].data, rows, inputs, outputs},
                  stream);
      if (i == 0) break;
      const Layer& below = layers_[i - 1];
      gpu::launch(device_,
                  network::Inputs{input(i), dy->as<float>(), variables[2 * i].data, below.dy->as<float>(), rows, inputs, outputs},
                  stream);
    }
  }

  const float* input(size_t layer) const { return (layer == 0 ? x_ : layers_[layer - 1].y)->as<float>(); }

  // score(stream): a promise of the mean loss and the accuracy of all images that were run since the last one.
  Napi::Value score(const Napi::CallbackInfo& info) {
    const gpu::Stream stream = address(info[0], "stream");
    auto reading = guarded(info.Env(), [&] {
      auto begun = std::make_unique<gpu::Reading>(device_, total_->as<void>(), total_->bytes(), stream);
      gpu::zero(device_, total_->as<void>(), total_->bytes(), stream);
      return begun;
    });
    auto* worker = new ScoreWorker(info.This().As<Napi::Object>(), std::move(reading));
    worker->Queue();
    return worker->promise();
  }

  int device_ = 0;
  size_t batch_ = 0, images_ = 0, ordered_ = 0;
  std::unique_ptr<gpu::Block> pixels_, labels_, order_, x_, scores_, total_;
  std::vector<Layer> layers_;
};

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("emulated", gpu::kEmulated);
  exports.Set("problem", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                const std::string problem = gpu::problem();
                return problem.empty() ? info.Env().Null() : Napi::Value(Napi::String::New(info.Env(), problem));
              }));
  exports.Set("Memory", Memory::define(env));
  exports.Set("Stream", Stream::define(env));
  exports.Set("Network", Network::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(keras_optimizers_example, init)
