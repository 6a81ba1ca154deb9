#include <system_error>

#include "binding.h"

namespace {

void check(napi_env env, napi_status status) {
  if (status != napi_ok) fail(Napi::Error::New(env, "Node-API refused a thread-safe function"), "ERR_ADDON_LOAD");
}

}  // namespace

Environment::Environment(Napi::Env env) {
  const Napi::String name = Napi::String::New(env, "keras-optimizers");
  check(env, napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, finish, &wake_));
  check(env, napi_unref_threadsafe_function(env, wake_));  // keeps the process alive only while a step runs
  driver_ = std::make_unique<Driver>([wake = wake_](std::unique_ptr<AsyncStep> step) {
    if (napi_call_threadsafe_function(wake, step.get(), napi_tsfn_nonblocking) == napi_ok) step.release();
  });
  check(env, napi_add_env_cleanup_hook(env, stop, this));
}

// Called by the environment before its memory goes, and before the thread-safe function's own hook, which was added earlier.
void Environment::stop(void* environment) {
  Environment& self = *static_cast<Environment*>(environment);
  self.driver_->stop();
  self.pending_.clear();
}

void Environment::start(std::unique_ptr<AsyncStep> step, Napi::Object plan, Napi::Function done) {
  try {
    driver_->start(std::move(step));
  } catch (const std::system_error& error) {
    fail(Napi::Error::New(plan.Env(), std::string("no thread for an asynchronous step: ") + error.what()), "ERR_OPT_OOM");
  }
  if (pending_.empty()) napi_ref_threadsafe_function(plan.Env(), wake_);
  pending_.push_back({Napi::Persistent(plan), Napi::Persistent(done)});
}

// On the environment's thread, when a step has ended. Raw Node-API: nothing may be thrown from here.
void Environment::finish(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<AsyncStep> step(static_cast<AsyncStep*>(data));
  if (env == nullptr) return;  // the environment is going away
  Environment& self = *static_cast<Environment*>(context);
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  Pending pending = std::move(self.pending_.front());
  self.pending_.pop_front();
  if (self.pending_.empty()) napi_unref_threadsafe_function(env, self.wake_);
  step->plan.reset();  // no longer running
  napi_value norm, receiver, result;
  if (napi_create_double(env, step->norm, &norm) == napi_ok && napi_get_undefined(env, &receiver) == napi_ok)
    napi_call_function(env, receiver, pending.done.Value(), 1, &norm, &result);
  napi_close_handle_scope(env, scope);
}
