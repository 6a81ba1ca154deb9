// What JavaScript asks the addon for: the rules with the names of their slots and scalars and what they compute, the backends, the controls of
// a pass, and the classes Memory and Plan. lib/native.ts types it.
#include <type_traits>

#include "../backends.h"
#include "../flush.h"
#include "../threads.h"
#include "../trace.h"
#include "binding.h"
#include "faults.h"

void fail(Napi::Error error, const char* code) {
  error.Set("code", code);
  throw error;
}

namespace {

template <class List>
Napi::Array strings(Napi::Env env, const List& list, size_t count) {
  Napi::Array array = Napi::Array::New(env, count);
  for (size_t i = 0; i < count; ++i) array.Set(uint32_t(i), list[i]);
  return array;
}

template <class Rule>
void describe(Napi::Array rules) {
  Napi::Object rule = Napi::Object::New(rules.Env());
  rule.Set("name", Rule::name);
  rule.Set("slots", strings(rules.Env(), Rule::slots.at, Rule::slots.size));
  rule.Set("sparse", std::is_base_of_v<Sparse, Rule>);
  rule.Set("scalars", strings(rules.Env(), Rule::scalars.at, Rule::scalars.size));
  rule.Set("directed", wholeOf<Rule> != kElementwise);
  rule.Set("whole", kWholeNames[wholeOf<Rule>]);
  rules.Set(rules.Length(), rule);
}

template <class... Rule>
Napi::Array describeAll(Napi::Env env, RuleList<Rule...>) {
  Napi::Array rules = Napi::Array::New(env);
  (describe<Rule>(rules), ...);
  return rules;
}

Napi::Object describe(Napi::Env env, const Trace& trace) {
  Napi::Array instructions = Napi::Array::New(env);
  for (const Instruction& instruction : trace.instructions) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("operation", kOperationNames[instruction.operation]);
    one.Set("first", instruction.first);
    one.Set("second", instruction.second);
    one.Set("constant", instruction.constant);
    instructions.Set(instructions.Length(), one);
  }
  Napi::Array outputs = Napi::Array::New(env);
  for (const int output : trace.outputs) outputs.Set(outputs.Length(), output);
  Napi::Object object = Napi::Object::New(env);
  object.Set("inputs", trace.inputs);
  object.Set("instructions", instructions);
  object.Set("outputs", outputs);
  return object;
}

Napi::Array describeBackends(Napi::Env env) {
  Napi::Array backends = Napi::Array::New(env);
  for (int i = 0; i < kBackendCount; ++i) {
    const char* reason = kBackends[i].unusable();
    Napi::Object backend = Napi::Object::New(env);
    backend.Set("name", kBackends[i].name);
    backend.Set("unusable", reason != nullptr ? Napi::String::New(env, reason) : env.Null());
    backends.Set(uint32_t(i), backend);
  }
  return backends;
}

// A function of no arguments that returns a number.
template <class Get>
Napi::Function number(Napi::Env env, Get get) {
  return Napi::Function::New(env, [get](const Napi::CallbackInfo& info) -> Napi::Value {
    return Napi::Number::New(info.Env(), get());
  });
}

// Where a typed array lies, and its length in bytes.
std::pair<void*, size_t> bytesOf(const Napi::Value& value) {
  if (!value.IsTypedArray()) fail(Napi::TypeError::New(value.Env(), "expected a typed array"), "ERR_OPT_ARRAY_TYPE");
  void* data = nullptr;
  napi_get_typedarray_info(value.Env(), value, nullptr, nullptr, &data, nullptr, nullptr);
  return {data, value.As<Napi::TypedArray>().ByteLength()};
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("rules", describeAll(env, Rules()));
  exports.Set("trace", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                const int rule = info[0].As<Napi::Number>().Int32Value();
                if (rule < 0 || rule >= Rules::size)
                  fail(Napi::RangeError::New(info.Env(), "no rule has this id"), "ERR_OPT_CONFIG_RANGE");
                return describe(info.Env(), traceOf(rule));
              }));
  exports.Set("traceOfDecay", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                return describe(info.Env(), traceOfDecay());
              }));
  exports.Set("backends", describeBackends(env));
  exports.Set("controls", strings(env, kControls, sizeof(kControls) / sizeof(*kControls)));
  exports.Set("storages", strings(env, kStorageNames, kStorages));
  exports.Set("block", double(kBlock));
  exports.Set("controlSize", double(sizeof(Control) / sizeof(double)));
  env.SetInstanceData(new Environment(env));
  exports.Set("floatingPointControl", number(env, [] { return double(floatingPointControl()); }));
  exports.Set("liveBytes", number(env, [] { return double(liveBytes()); }));
  exports.Set("threadCount", number(env, [] { return double(threadCount()); }));
  exports.Set("setThreadCount", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                setThreadCount(info[0].As<Napi::Number>().Int32Value());
              }));
  exports.Set("Memory", MemoryHandle::define(env));
  exports.Set("beyondLine", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                return Napi::Number::New(info.Env(), double(reinterpret_cast<uintptr_t>(bytesOf(info[0]).first) % 64));
              }));
  exports.Set("useHugePages", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                const auto [data, bytes] = bytesOf(info[0]);
                collapseIntoHugePages(data, bytes);
              }));
  exports.Set("newPlan", Napi::Function::New(env, newPlan));
  exports.Set("mergeRows", Napi::Function::New(env, mergeRows));
  exports.Set("putRows", Napi::Function::New(env, [](const Napi::CallbackInfo& info) { putRows(info); }));
  exports.Set("cuda", cudaFace(env));
  exports.Set("distributed", distributedFace(env));
  defineFaults(exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(keras_optimizers, init)
