#include "../host_plan.h"

#include <cmath>

#include "../../cuda/plan.h"
#include "../matrix/blas.h"
#include "binding.h"

namespace {

constexpr double kMaxArrays = 1 << 30, kMaxLength = double(1ull << 53);

// A whole number below a limit.
double whole(const Napi::Value& value, double limit) {
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number < limit && number == std::floor(number)))
    fail(Napi::RangeError::New(value.Env(), "a number of a plan is out of range"), "ERR_OPT_CONFIG_RANGE");
  return number;
}

size_t wholeOr0(const Napi::Value& value) { return value.IsNumber() ? size_t(whole(value, kMaxLength)) : 0; }

std::vector<Source> sourcesOf(const Napi::Array& list, int& arrays) {
  std::vector<Source> sources(list.Length());
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Value source = list.Get(i);
    if (source.IsNumber()) {
      sources[i].late = int(whole(source, kMaxArrays));
      arrays = std::max(arrays, sources[i].late + 1);
    } else {
      sources[i].memory = MemoryHandle::from(source);
    }
  }
  return sources;
}

template <class... Rule>
constexpr size_t slotsOf(RuleList<Rule...>, int rule) {
  constexpr int slots[] = {decltype(Rule::slots)::size...};
  return size_t(slots[rule]);
}

// By its name; plain if there is none.
Storage storageOf(const Napi::Value& value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : kStorageNames[kPlain];
  for (int i = 0; i < kStorages; ++i)
    if (name == kStorageNames[i]) return Storage(i);
  fail(Napi::RangeError::New(value.Env(), "unknown storage " + name), "ERR_OPT_CONFIG_RANGE");
}

// The storages of a tensor's streams, and whether all of it fits the memory that is known.
bool fits(Tensor& tensor, const Napi::Value& storages, const std::vector<Source>& sources, const Pass& pass) {
  if (sources.size() != 2 + slotsOf(Rules(), pass.rule)) return false;
  for (uint32_t i = 0; i < sources.size(); ++i) {
    tensor.storage[i] = storages.IsArray() ? storageOf(storages.As<Napi::Array>().Get(i)) : kPlain;
    const bool stored = tensor.storage[i] != kPlain;
    if (stored && (pass.dtype != kFloat32 || i == 0 || (i > 1 && tensor.storage[i] != kBfloat16))) return false;
    const size_t size = stored ? 2 : pass.dtype == kFloat32 ? 4 : 8;
    if (i > 1 && (tensor.storage[i] != tensor.storage[2] || (stored && !sources[i].memory))) return false;
    if (sources[i].memory && sources[i].memory->bytes / size < tensor.length) return false;
  }
  return true;
}

// What a directed rule has for a tensor, whose direction is as long as the tensor. Factors keep a number for each row, one for
// each column, and one for each element.
Further furtherOf(const Napi::Object& from, int rule, size_t bytes, size_t length) {
  Further further{MemoryHandle::from(from.Get("direction")), {}, {}};
  const Napi::Array shape = from.Get("shape").As<Napi::Array>(), extra = from.Get("extra").As<Napi::Array>();
  size_t* const dimensions[] = {&further.shape.batch, &further.shape.rows, &further.shape.columns};
  for (uint32_t i = 0; i < 3; ++i) *dimensions[i] = size_t(whole(shape.Get(i), kMaxLength));
  for (uint32_t i = 0; i < extra.Length(); ++i) further.extra.push_back(MemoryHandle::from(extra.Get(i)));
  const auto [batch, rows, columns] = further.shape;
  const std::vector<size_t> kept = wholeIn(Rules(), rule) == kFactored ? std::vector<size_t>{batch * rows, batch * columns, length}
                                                                       : std::vector<size_t>{};
  bool fits = further.direction->bytes / bytes >= length && double(batch) * double(rows) * double(columns) == double(length) &&
              further.extra.size() == kept.size();
  for (size_t i = 0; fits && i < kept.size(); ++i) fits = further.extra[i]->bytes / bytes >= kept[i];
  if (!fits)
    fail(Napi::RangeError::New(from.Env(), "a tensor does not fit its shape or its memory"), "ERR_OPT_LENGTH");
  return further;
}

Rows rowsOf(const Napi::Object& from, int& arrays) {
  Rows rows;
  rows.late = int(whole(from.Get("rows"), kMaxArrays));
  rows.columns = size_t(whole(from.Get("columns"), kMaxLength));
  arrays = std::max(arrays, rows.late + 1);
  return rows;
}

Pass passOf(const Napi::Object& object, uint32_t variables, int& arrays) {
  Pass pass;
  pass.rule = int(whole(object.Get("rule"), Rules::size));
  pass.dtype = Dtype(whole(object.Get("dtype"), kDtypes));
  pass.half = storageOf(object.Get("half"));
  const Napi::Array tensors = object.Get("tensors").As<Napi::Array>();
  for (uint32_t i = 0; i < tensors.Length(); ++i) {
    const Napi::Object from = tensors.Get(i).As<Napi::Object>();
    Tensor tensor = {};
    tensor.length = size_t(whole(from.Get("length"), kMaxLength));
    tensor.first = wholeOr0(from.Get("first"));
    tensor.variable = uint32_t(whole(from.Get("variable"), variables));
    tensor.given = from.Get("given").ToBoolean();
    tensor.decay = from.Get("decay").ToBoolean();
    const std::vector<Source> sources = sourcesOf(from.Get("sources").As<Napi::Array>(), arrays);
    if (!fits(tensor, from.Get("storages"), sources, pass))
      fail(Napi::RangeError::New(object.Env(), "a tensor does not fit its rule or its memory"), "ERR_OPT_LENGTH");
    const int needs = from.Get("needs").IsNull() ? -1 : int(whole(from.Get("needs"), kMaxArrays));
    arrays = std::max(arrays, needs + 1);
    pass.add(tensor, sources, needs);
    pass.firstSum.push_back(wholeOr0(from.Get("firstSum")));
    if (wholeIn(Rules(), pass.rule) != kElementwise)
      pass.further.push_back(furtherOf(from, pass.rule, pass.dtype == kFloat32 ? sizeof(float) : sizeof(double), tensor.length));
    if (from.Get("rows").IsNumber()) pass.rows.push_back(rowsOf(from, arrays));
  }
  if (pass.sparse() && pass.rows.size() != pass.tensors.size())
    fail(Napi::RangeError::New(object.Env(), "expected rows for all tensors of a pass, or for none"), "ERR_OPT_LENGTH");
  return pass;
}

// Bare Node-API: a wrapper object an element would cost five times as much.
Array arrayOf(napi_env env, napi_value list, uint32_t index, bool onDevice) {
  napi_value value, buffer;
  Array array;
  if (napi_get_element(env, list, index, &value) != napi_ok) return array;
  if (onDevice && MemoryHandle::is(env, value)) {
    array.memory = MemoryHandle::from(Napi::Value(env, value));
    array.absent = false;
    return array;
  }
  napi_typedarray_type kind;
  size_t offset;
  if (napi_get_typedarray_info(env, value, &kind, &array.length, &array.data, &buffer, &offset) != napi_ok) {
    napi_valuetype type;
    if (napi_typeof(env, value, &type) == napi_ok && (type == napi_null || type == napi_undefined)) return array;
    kind = napi_int8_array;
  }
  if (kind != napi_float32_array && kind != napi_float64_array && kind != napi_uint16_array && kind != napi_uint32_array)
    fail(Napi::TypeError::New(env, "arrays[" + std::to_string(index) + "] is no Float32Array, Float64Array, Uint16Array or Uint32Array"),
         "ERR_OPT_ARRAY_TYPE");
  bool detached = false;
  if (array.length == 0 && napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached)
    fail(Napi::TypeError::New(env, "arrays[" + std::to_string(index) + "]: its ArrayBuffer has been detached"),
         "ERR_OPT_DETACHED");
  array.kind = kind == napi_float32_array   ? Array::kFloat32Array
               : kind == napi_float64_array ? Array::kFloat64Array
               : kind == napi_uint32_array  ? Array::kUint32Array
                                            : Array::kUint16Array;
  array.absent = false;
  return array;
}

// What the functions of a plan's object share; they cannot be called on anything else.
struct Handle {
  std::shared_ptr<Plan> plan;  // shared with a running step
  std::vector<Array> arrays;
  bool onDevice = false;
  size_t variables = 0, sums = 0;  // of which there are numbers in a run in two halves: sums are of blocks

  // The plan, if it can run.
  Plan& idle(Napi::Env env) {
    if (!plan) fail(Napi::Error::New(env, "this plan has been disposed of"), "ERR_OPT_DISPOSED");
    if (plan.use_count() > 1) fail(Napi::Error::New(env, "this plan is running"), "ERR_OPT_BUSY");
    return *plan;
  }

  // Takes the addresses, after the last user code has run.
  void bind(const Napi::Value& list) {
    const Napi::Env env = list.Env();
    if (arrays.empty()) return;
    if (!list.IsArray()) fail(Napi::TypeError::New(env, "expected a list of arrays"), "ERR_OPT_ARRAY_TYPE");
    for (size_t i = 0; i < arrays.size(); ++i) arrays[i] = arrayOf(env, list, uint32_t(i), onDevice);
    idle(env);
    try {
      plan->bind(arrays);
      for (Array& array : arrays) array.memory.reset();  // the plan's, until it has been enqueued
    } catch (const BindError& error) {
      if (error.kind == BindError::kType) fail(Napi::TypeError::New(env, error.message), "ERR_OPT_ARRAY_TYPE");
      fail(Napi::RangeError::New(env, error.message), error.kind == BindError::kAlias ? "ERR_OPT_ALIAS" : "ERR_OPT_LENGTH");
    }
  }
};
using Shared = std::shared_ptr<Handle>;

// run(arrays): the norm.
Napi::Value run(const Shared& handle, const Napi::CallbackInfo& info) {
  handle->idle(info.Env());
  handle->bind(info[0]);
  return Napi::Number::New(info.Env(), withCuda(info.Env(), [&] { return handle->plan->run(); }));
}

// norm(i): of the run that gave kLater - i; waits for it.
Napi::Value norm(const Shared& handle, const Napi::CallbackInfo& info) {
  if (!handle->onDevice) handle->idle(info.Env());
  const std::shared_ptr<Plan> plan = handle->plan;
  if (!plan) fail(Napi::Error::New(info.Env(), "this plan has been disposed of"), "ERR_OPT_DISPOSED");
  const size_t i = size_t(whole(info[0], kMaxArrays));
  return Napi::Number::New(info.Env(), withCuda(info.Env(), [&] { return plan->norm(i); }));
}

// bind(arrays): throws where run would.
void bind(const Shared& handle, const Napi::CallbackInfo& info) {
  handle->idle(info.Env());
  handle->bind(info[0]);
}

// finite(arrays): whether the gradients are.
Napi::Value finite(const Shared& handle, const Napi::CallbackInfo& info) {
  bind(handle, info);
  return Napi::Boolean::New(info.Env(), withCuda(info.Env(), [&] { return handle->plan->finite(); }));
}

// runAsync(arrays, held, done): calls done(norm) when the step has ended. `held` are the memories that the arrays lie in.
// runAsync(arrays, held, done, squares): the second half of a run, with the sum of squares of every variable.
// sumsAsync(arrays, held, done, sums): the first half.
// finiteAsync(arrays, held, done): done(1), or done(0) where a gradient is not finite.
enum Job { kRun, kSums, kFinite };

std::function<double()> workOf(const std::shared_ptr<Plan>& plan, Job job, const SharedMemory& numbers) {
  double* const data = numbers ? static_cast<double*>(numbers->data) : nullptr;
  if (job == kFinite) return [plan] { return double(plan->finite()); };
  if (job == kSums) return [plan, data] { return plan->endSums(data); };
  if (numbers) return [plan, data] { return plan->endClipped(data); };
  return [plan] { return plan->end(); };
}

void start(const Shared& handle, const Napi::CallbackInfo& info, Job job) {
  handle->idle(info.Env());
  auto step = std::make_unique<AsyncStep>();
  const Napi::Array held = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < held.Length(); ++i) step->held.push_back(MemoryHandle::from(held.Get(i)));
  const SharedMemory numbers = info[3].IsObject() ? MemoryHandle::from(info[3]) : nullptr;
  if (numbers) step->held.push_back(numbers);
  const size_t most = job == kSums ? handle->sums : handle->variables;
  if (numbers ? numbers->bytes / sizeof(double) < most : job == kSums)
    fail(Napi::RangeError::New(info.Env(), "a half of a run expects room for all sums"), "ERR_OPT_LENGTH");
  handle->bind(info[0]);
  const std::shared_ptr<Plan> plan = step->plan = handle->plan;
  if (job == kRun && !numbers) withCuda(info.Env(), [&] { plan->begin(); });
  step->work = workOf(plan, job, numbers);
  Environment::of(info.Env()).start(std::move(step), info.This().As<Napi::Object>(), info[2].As<Napi::Function>());
}

const Kernels& kernelsOf(const Napi::Value& value) {
  const int backend = value.As<Napi::Number>().Int32Value();
  if (backend < 0 || backend >= kBackendCount || kBackends[backend].kernels == nullptr || kBackends[backend].unusable() != nullptr)
    fail(Napi::Error::New(value.Env(), "this backend cannot run here"), "ERR_OPT_BACKEND");
  return *kBackends[backend].kernels;
}

}  // namespace

Napi::Value newPlan(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Kernels& kernels = kernelsOf(info[0]);
  const uint32_t variables = info[2].As<Napi::Number>().Uint32Value();
  const Napi::Array list = info[1].As<Napi::Array>();
  SharedMemory control = MemoryHandle::from(info[3]);
  std::vector<Pass> passes;
  int arrays = 0;
  for (uint32_t i = 0; i < list.Length(); ++i) passes.push_back(passOf(list.Get(i).As<Napi::Object>(), variables, arrays));
  if (control->bytes / sizeof(Control) < passes.size())
    fail(Napi::RangeError::New(env, "expected memory for " + std::to_string(passes.size()) + " controls"), "ERR_OPT_LENGTH");
  const Shared handle = std::make_shared<Handle>();
  handle->arrays.resize(size_t(arrays));
  handle->variables = variables;
  for (const Pass& pass : passes)
    for (size_t t = 0; t < pass.tensors.size(); ++t)
      handle->sums = std::max(handle->sums, pass.firstSum[t] + (pass.tensors[t].length + kBlock - 1) / kBlock);
  try {
    const int device = withCuda(env, [&] { return cuda::deviceOf(passes); });
    handle->onDevice = device >= 0;
    handle->plan = device < 0 ? std::make_shared<HostPlan>(kernels, std::move(passes), variables, std::move(control)) : withCuda(env, [&] {
      return cuda::newPlan(device, std::move(passes), variables, std::move(control));
    });
  } catch (const std::bad_alloc&) {
    fail(Napi::RangeError::New(env, "out of memory for the plan of a step"), "ERR_OPT_OOM");
  } catch (const BlasError& error) {
    fail(Napi::Error::New(env, error.what()), "ERR_OPT_BLAS");
  }
  Napi::Object plan = Napi::Object::New(env);
  plan.Set("run", Napi::Function::New(env, [handle](const Napi::CallbackInfo& call) { return run(handle, call); }));
  plan.Set("runAsync", Napi::Function::New(env, [handle](const Napi::CallbackInfo& call) { start(handle, call, kRun); }));
  plan.Set("sumsAsync", Napi::Function::New(env, [handle](const Napi::CallbackInfo& call) { start(handle, call, kSums); }));
  plan.Set("norm", Napi::Function::New(env, [handle](const Napi::CallbackInfo& call) { return norm(handle, call); }));
  plan.Set("bind", Napi::Function::New(env, [handle](const Napi::CallbackInfo& call) { bind(handle, call); }));
  plan.Set("finite", Napi::Function::New(env, [handle](const Napi::CallbackInfo& call) { return finite(handle, call); }));
  plan.Set("finiteAsync", Napi::Function::New(env, [handle](const Napi::CallbackInfo& call) { start(handle, call, kFinite); }));
  plan.Set("release", Napi::Function::New(env, [handle](const Napi::CallbackInfo& call) {
             handle->idle(call.Env());
             handle->plan.reset();
           }));
  return plan;
}
