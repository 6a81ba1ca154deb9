#include "faults.h"

#include <new>
#include <stdexcept>

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

}  // namespace

void defineFaults(Napi::Object exports) { exports.Set("raise", Napi::Function::New(exports.Env(), raise)); }
