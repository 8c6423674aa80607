//! The proof that each rule of a suite is needed: its story holds, and does not hold without the rule.

use std::panic;

use syncline_core::mutant::{self, Rule};

use crate::suites::{Suite, rules_of};

/// Tells the story of each of the suite's rules with and without the rule.
pub(crate) fn assert_each_is_needed(suite: Suite, stories: &[(Rule, fn())]) {
    let rules: Vec<Rule> = rules_of(suite).collect();
    let strays: Vec<Rule> = stories.iter().map(|(rule, _)| *rule).filter(|rule| !rules.contains(rule)).collect();
    assert_eq!(strays, [], "another suite answers for these");
    for rule in rules {
        let told: Vec<fn()> = stories.iter().filter(|(of, _)| *of == rule).map(|(_, story)| *story).collect();
        let [story] = told[..] else { panic!("{rule:?} has {} stories", told.len()) };
        story();
        let without = panic::catch_unwind(|| mutant::with(rule, story));
        assert!(without.is_err(), "the story of {rule:?} holds without it");
    }
}
