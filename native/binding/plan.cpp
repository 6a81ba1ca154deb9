#include "../plan.h"

#include <cmath>

#include "binding.h"

namespace {

constexpr napi_type_tag kTag = {0x6b65726173206f70, 0x7420706c616e2020};

constexpr double kMaxArrays = 1 << 30, kMaxLength = double(1ull << 53);

// A whole number below a limit.
double whole(const Napi::Value& value, double limit) {
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number < limit && number == std::floor(number)))
    fail(Napi::RangeError::New(value.Env(), "a number of a plan is out of range"), "ERR_OPT_CONFIG_RANGE");
  return number;
}

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

Pass passOf(const Napi::Object& object, uint32_t variables, int& arrays) {
  Pass pass;
  pass.rule = int(whole(object.Get("rule"), Rules::size));
  pass.dtype = Dtype(whole(object.Get("dtype"), kDtypes));
  const Napi::Array tensors = object.Get("tensors").As<Napi::Array>();
  for (uint32_t i = 0; i < tensors.Length(); ++i) {
    const Napi::Object from = tensors.Get(i).As<Napi::Object>();
    Tensor tensor = {};
    tensor.length = size_t(whole(from.Get("length"), kMaxLength));
    tensor.variable = uint32_t(whole(from.Get("variable"), variables));
    tensor.decay = from.Get("decay").ToBoolean();
    const std::vector<Source> sources = sourcesOf(from.Get("sources").As<Napi::Array>(), arrays);
    const size_t size = pass.dtype == kFloat32 ? 4 : 8;
    bool fits = sources.size() == 2 + slotsOf(Rules(), pass.rule);
    for (const Source& source : sources) fits = fits && (!source.memory || source.memory->bytes / size >= tensor.length);
    if (!fits) fail(Napi::RangeError::New(object.Env(), "a tensor does not fit its rule or its memory"), "ERR_OPT_LENGTH");
    const int needs = from.Get("needs").IsNull() ? -1 : int(whole(from.Get("needs"), kMaxArrays));
    arrays = std::max(arrays, needs + 1);
    pass.add(tensor, sources, needs);
  }
  return pass;
}

// Bare Node-API: a wrapper object an element would cost five times as much.
Array arrayOf(napi_env env, napi_value list, uint32_t index) {
  napi_value value, buffer;
  napi_valuetype type;
  Array array;
  if (napi_get_element(env, list, index, &value) != napi_ok || napi_typeof(env, value, &type) != napi_ok) return array;
  if (type == napi_null || type == napi_undefined) return array;
  napi_typedarray_type kind;
  size_t offset;
  if (napi_get_typedarray_info(env, value, &kind, &array.length, &array.data, &buffer, &offset) != napi_ok ||
      (kind != napi_float32_array && kind != napi_float64_array))
    fail(Napi::TypeError::New(env, "arrays[" + std::to_string(index) + "] is no Float32Array or Float64Array"),
         "ERR_OPT_ARRAY_TYPE");
  bool detached = false;
  if (array.length == 0 && napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached)
    fail(Napi::TypeError::New(env, "arrays[" + std::to_string(index) + "]: its ArrayBuffer has been detached"),
         "ERR_OPT_DETACHED");
  array.dtype = kind == napi_float32_array ? kFloat32 : kFloat64;
  array.absent = false;
  return array;
}

class PlanHandle : public Napi::ObjectWrap<PlanHandle> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Plan",
                       {StaticMethod<&PlanHandle::run>("run"), StaticMethod<&PlanHandle::runAsync>("runAsync"),
                        StaticMethod<&PlanHandle::release>("release")});
  }

  // new Plan(backend index, passes, number of variables)
  explicit PlanHandle(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const int backend = info[0].As<Napi::Number>().Int32Value();
    if (backend < 0 || backend >= kBackendCount || kBackends[backend].kernels == nullptr ||
        kBackends[backend].unusable() != nullptr)
      fail(Napi::Error::New(info.Env(), "this backend cannot run here"), "ERR_OPT_BACKEND");
    const uint32_t variables = info[2].As<Napi::Number>().Uint32Value();
    const Napi::Array list = info[1].As<Napi::Array>();
    std::vector<Pass> passes;
    int arrays = 0;
    for (uint32_t i = 0; i < list.Length(); ++i) passes.push_back(passOf(list.Get(i).As<Napi::Object>(), variables, arrays));
    controls_ = passes.size() * sizeof(Control) / sizeof(double);
    arrays_.resize(size_t(arrays));
    plan_ = std::make_shared<Plan>(*kBackends[backend].kernels, std::move(passes), variables);
    info.This().As<Napi::Object>().TypeTag(&kTag);
  }

 private:
  // The plan behind an object of JavaScript's; throws for another object, a released plan and a running one.
  static PlanHandle& of(const Napi::Value& value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag))
      fail(Napi::TypeError::New(value.Env(), "expected a Plan"), "ERR_OPT_ARRAY_TYPE");
    PlanHandle& handle = *Unwrap(value.As<Napi::Object>());
    if (!handle.plan_) fail(Napi::Error::New(value.Env(), "this plan has been disposed of"), "ERR_OPT_DISPOSED");
    if (handle.plan_.use_count() > 1) fail(Napi::Error::New(value.Env(), "this plan is running"), "ERR_OPT_BUSY");
    return handle;
  }

  // Plan.run(plan, control, arrays): the norm.
  static Napi::Value run(const Napi::CallbackInfo& info) {
    PlanHandle& handle = of(info[0]);
    handle.bind(info[1], info[2]);
    return Napi::Number::New(info.Env(), handle.plan_->run());
  }

  // Plan.runAsync(plan, control, arrays, held, done): calls done(norm) when the step has ended. `held` are the memories
  // that the arrays lie in.
  static void runAsync(const Napi::CallbackInfo& info) {
    PlanHandle& handle = of(info[0]);
    auto step = std::make_unique<AsyncStep>();
    const Napi::Array held = info[3].As<Napi::Array>();
    for (uint32_t i = 0; i < held.Length(); ++i) step->held.push_back(MemoryHandle::from(held.Get(i)));
    handle.bind(info[1], info[2]);
    step->plan = handle.plan_;
    Environment::of(info.Env()).start(std::move(step), info[0].As<Napi::Object>(), info[4].As<Napi::Function>());
  }

  static void release(const Napi::CallbackInfo& info) { of(info[0]).plan_.reset(); }

  // Takes the addresses, after the last user code has run, and the control.
  void bind(const Napi::Value& controlValue, const Napi::Value& arrays) {
    const Napi::Env env = arrays.Env();
    const Napi::Float64Array control = controlValue.As<Napi::Float64Array>();
    if (!controlValue.IsTypedArray() || control.TypedArrayType() != napi_float64_array || control.ElementLength() != controls_)
      fail(Napi::TypeError::New(env, "expected " + std::to_string(controls_) + " float64 controls"), "ERR_OPT_ARRAY_TYPE");
    for (size_t i = 0; i < arrays_.size(); ++i) arrays_[i] = arrayOf(env, arrays, uint32_t(i));
    try {
      plan_->bind(arrays_);
    } catch (const BindError& error) {
      bindFailed(env, error);
    }
    const double* from = control.Data();
    for (Pass& pass : plan_->passes()) {
      std::copy(from, from + sizeof(Control) / sizeof(double), reinterpret_cast<double*>(&pass.control));
      from += sizeof(Control) / sizeof(double);
    }
  }

  [[noreturn]] static void bindFailed(Napi::Env env, const BindError& error) {
    if (error.kind == BindError::kType) fail(Napi::TypeError::New(env, error.message), "ERR_OPT_ARRAY_TYPE");
    fail(Napi::RangeError::New(env, error.message), error.kind == BindError::kAlias ? "ERR_OPT_ALIAS" : "ERR_OPT_LENGTH");
  }

  std::shared_ptr<Plan> plan_;  // shared with a running step
  std::vector<Array> arrays_;
  size_t controls_ = 0;
};

}  // namespace

Napi::Function definePlan(Napi::Env env) { return PlanHandle::define(env); }
