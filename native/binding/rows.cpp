#include "../rows.h"

#include <cmath>

#include "binding.h"

namespace {

struct View {
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  size_t length = 0;  // elements
};

View viewOf(const Napi::Value& value) {
  View view;
  if (napi_get_typedarray_info(value.Env(), value, &view.type, &view.length, &view.data, nullptr, nullptr) != napi_ok)
    fail(Napi::TypeError::New(value.Env(), "expected a typed array"), "ERR_OPT_ARRAY_TYPE");
  return view;
}

void expect(bool fits, Napi::Env env) {
  if (!fits) fail(Napi::RangeError::New(env, "rows do not fit their arrays"), "ERR_OPT_LENGTH");
}

size_t columnsOf(const Napi::Value& value) {
  const double columns = value.As<Napi::Number>().DoubleValue();
  expect(columns >= 0 && columns <= 0x1p53 && columns == std::floor(columns), value.Env());
  return size_t(columns);
}

// Whether numbers are that many rows, without a product that may be too large.
bool areRows(size_t numbers, size_t rows, size_t columns) {
  return rows == 0 || columns == 0 ? numbers == 0 : numbers / columns == rows && numbers % columns == 0;
}

Slices::Indices kindOf(const View& indices, Napi::Env env) {
  const napi_typedarray_type type = indices.type;
  expect(type == napi_int32_array || type == napi_uint32_array || type == napi_float64_array, env);
  return type == napi_int32_array ? Slices::kInt32 : type == napi_uint32_array ? Slices::kUint32 : Slices::kFloat64;
}

}  // namespace

Napi::Value mergeRows(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const View values = viewOf(info[0]), indices = viewOf(info[1]);
  const double rows = info[2].As<Napi::Number>().DoubleValue();
  const size_t columns = columnsOf(info[3]);
  const View sums = viewOf(info[4]), merged = viewOf(info[5]), keys = viewOf(info[6]);
  expect(rows >= 0 && rows <= 0x1p32 && indices.length <= 0xffffffffu, env);
  expect(areRows(values.length, indices.length, columns) && sums.length >= values.length && sums.type == values.type, env);
  expect(values.type == napi_float32_array || values.type == napi_float64_array, env);
  expect(merged.type == napi_uint32_array && merged.length >= indices.length, env);
  expect(keys.type == napi_float64_array && keys.length >= indices.length, env);
  const Slices slices = {kindOf(indices, env), indices.data, values.data, indices.length, columns};
  const MergedRows to = {static_cast<uint32_t*>(merged.data), sums.data, static_cast<uint64_t*>(keys.data)};
  return Napi::Number::New(env, mergeSlices(values.type == napi_float32_array ? kFloat32 : kFloat64, slices, rows, to));
}

void putRows(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const View dense = viewOf(info[0]), rows = viewOf(info[1]);
  const size_t columns = columnsOf(info[2]);
  const View values = info[3].IsNull() ? View{dense.type} : viewOf(info[3]);
  expect(rows.type == napi_uint32_array && (dense.type == napi_float32_array || dense.type == napi_float64_array), env);
  expect(info[3].IsNull() || (areRows(values.length, rows.length, columns) && values.type == dense.type), env);
  const uint32_t* list = static_cast<const uint32_t*>(rows.data);
  for (size_t i = 0; i < rows.length; ++i) expect(columns == 0 || list[i] < dense.length / columns, env);
  putRows(dense.data, list, rows.length, columns * (dense.type == napi_float32_array ? 4 : 8), values.data);
}
