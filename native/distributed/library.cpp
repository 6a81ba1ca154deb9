#include "library.h"

#include <dlfcn.h>

#include "engine.h"

namespace distributed {

Library::Library(const std::string& what, const std::vector<std::string>& names, const char* symbol, bool global)
    : what_(what), known_(symbol) {
  std::string tried;
  for (const std::string& name : names) {
    handle_ = dlopen(name.c_str(), RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL));
    if (handle_ != nullptr && find(symbol) != nullptr) return;
    const char* const error = handle_ == nullptr ? dlerror() : nullptr;
    tried += (tried.empty() ? "" : "; ") + name + ": " + (error != nullptr ? error : std::string("it has no ") + symbol);
  }
  throw Error("ERR_COMM_UNAVAILABLE", "no library of " + what + " could be opened (" + tried + ")");
}

void* Library::find(const char* symbol) const { return dlsym(handle_, symbol); }

void* Library::must(const char* symbol) const {
  if (void* const found = find(symbol)) return found;
  throw Error("ERR_COMM_UNAVAILABLE", path() + " is no " + what_ + " that can be used: it has no " + symbol);
}

std::string Library::path() const {
  Dl_info found;
  return dladdr(find(known_), &found) != 0 && found.dli_fname != nullptr ? found.dli_fname : what_;
}

}  // namespace distributed
