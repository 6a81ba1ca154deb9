#include "faults.h"

#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>

#include "../../cuda/faults.h"

namespace {

// raise(kind): leaves through the wall in every way a C++ function can.
Napi::Value raise(const Napi::CallbackInfo& info) {
  switch (info[0].As<Napi::Number>().Int32Value()) {
    case 0: throw std::runtime_error("a standard exception");
    case 1: throw std::bad_alloc();
    case 2: throw 42;
    default: throw Napi::TypeError::New(info.Env(), "an exception of JavaScript's");
  }
}

struct Fault {
  int after, code;  // calls that succeed before
};
std::mutex mutex;
std::map<std::string, Fault> faults;
std::map<std::string, int> calls;  // by name

// setFault(name, nth, code): the nth call to a function of CUDA's from now on fails; setFault(null): none does.
void setFault(const Napi::CallbackInfo& info) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (!info[0].IsString()) return faults.clear();
  faults[info[0].As<Napi::String>()] = {info[1].As<Napi::Number>().Int32Value() - 1, info[2].As<Napi::Number>().Int32Value()};
}

// cudaCalls(): how often each function of CUDA's has been called.
Napi::Value cudaCalls(const Napi::CallbackInfo& info) {
  const std::lock_guard<std::mutex> lock(mutex);
  Napi::Object object = Napi::Object::New(info.Env());
  for (const auto& [name, count] : calls) object.Set(name, count);
  return object;
}

}  // namespace

int cuda::faultOf(const char* name) {
  const std::lock_guard<std::mutex> lock(mutex);
  ++calls[name];
  if (faults.empty()) return 0;
  const auto found = faults.find(name);
  if (found == faults.end() || found->second.after-- > 0) return 0;
  const int code = found->second.code;
  faults.erase(found);
  return code;
}

void defineFaults(Napi::Object exports) {
  exports.Set("raise", Napi::Function::New(exports.Env(), raise));
  exports.Set("cudaCalls", Napi::Function::New(exports.Env(), cudaCalls));
  exports.Set("setFault", Napi::Function::New(exports.Env(), setFault));
}
