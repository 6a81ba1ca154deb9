// A shared library that is opened at run time, so that the addon needs none: the first of several names that is one.
#pragma once
#include <string>
#include <vector>

namespace distributed {

class Library {
 public:
  // Opens the first of the names that opens and has the symbol. `global`: its symbols are for the libraries that it opens itself.
  // Throws an Error ERR_COMM_UNAVAILABLE that says what was tried and what the system answered. Never closed: it may have threads.
  Library(const std::string& what, const std::vector<std::string>& names, const char* symbol, bool global);
  // The file that a symbol of it lies in.
  std::string path() const;
  void* find(const char* symbol) const;  // null if there is none
  // Throws an Error for a symbol that is missing.
  template <class Function>
  void get(Function*& function, const char* symbol) const {
    function = reinterpret_cast<Function*>(must(symbol));
  }

 private:
  void* must(const char* symbol) const;

  std::string what_;
  const char* known_;
  void* handle_ = nullptr;
};

}  // namespace distributed
