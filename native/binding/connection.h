// A started engine as JavaScript sees it.
#pragma once
#include "../distributed/engine.h"
#include "../distributed/line.h"
#include "binding.h"

// { describe(), run(kind, send, sendOffset, receive, receiveOffset, bytes, root, done), abort(exitCode, reason), leave(), close(done) }.
// Its environment's end, and its own, stop the line: whatever then still comes, comes to nobody.
class Connection : public Napi::ObjectWrap<Connection> {
 public:
  static Napi::Function define(Napi::Env env);
  // Starts an engine; done() is called when it has, or with an error.
  static Napi::Value open(Napi::Env env, std::shared_ptr<distributed::Engine> engine, const Napi::Value& done);
  explicit Connection(const Napi::CallbackInfo& info);
  ~Connection() override;

 private:
  static void cut(void* connection);
  void add(std::function<bool()> poll, std::vector<SharedMemory> held, const Napi::Value& done, double eager, bool last = false);
  Napi::Value describe(const Napi::CallbackInfo& info);
  void run(const Napi::CallbackInfo& info);
  void abort(const Napi::CallbackInfo& info);
  void leave(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<distributed::Engine> engine_;
  std::shared_ptr<distributed::Line> line_;
  bool closed_ = false;
};
