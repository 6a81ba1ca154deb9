// The one list of rules; a rule's place in it is its id. Every table of kernels and every name JavaScript sees follows.
#pragma once
#include "rules/adadelta.h"
#include "rules/adafactor.h"
#include "rules/adagrad.h"
#include "rules/adam.h"
#include "rules/adamax.h"
#include "rules/ftrl.h"
#include "rules/lamb.h"
#include "rules/lion.h"
#include "rules/muon.h"
#include "rules/nadam.h"
#include "rules/rmsprop.h"
#include "rules/schedule_free_adamw.h"
#include "rules/sgd.h"
#include "rules/state.h"

template <class... Rule>
struct RuleList {
  static constexpr int size = sizeof...(Rule);
};

using Rules =
    RuleList<Sgd, SgdMomentum, SgdNesterov, Rmsprop, RmspropMomentum, RmspropCentered, RmspropCenteredMomentum, Adagrad,
             Adadelta, Adam, AdamAmsgrad, Adamax, Nadam, Ftrl, FtrlPower, Lion, Lamb, Adafactor, AdafactorFactored, Muon,
             MuonNesterov, ScheduleFreeAdamW, Accumulate, Average, Copy, Zero, Descend, Prepare>;

template <class Rule, class = void>
constexpr Whole wholeOf = kElementwise;
template <class Rule>
constexpr Whole wholeOf<Rule, decltype(void(Rule::whole))> = Rule::whole;

template <class... Rule>
constexpr Whole wholeIn(RuleList<Rule...>, int rule) {
  constexpr Whole wholes[] = {wholeOf<Rule>...};
  return wholes[rule];
}

// A rule's place in the list.
template <class Rule, class First, class... Rest>
constexpr int idOf(RuleList<First, Rest...>) {
  if constexpr (__is_same(Rule, First)) return 0;
  else return 1 + idOf<Rule>(RuleList<Rest...>());
}
