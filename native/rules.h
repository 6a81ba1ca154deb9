// The one list of rules; a rule's place in it is its id. Every table of kernels and every name JavaScript sees follows.
#pragma once
#include "rules/adam.h"
#include "rules/nadam.h"
#include "rules/sgd.h"
#include "rules/state.h"

template <class... Rule>
struct RuleList {
  static constexpr int size = sizeof...(Rule);
};

using Rules = RuleList<Sgd, SgdMomentum, SgdNesterov, Adam, AdamAmsgrad, Nadam, Accumulate, Average, Copy, Zero>;
