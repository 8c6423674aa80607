//! Protocols of the service as models: every order of every step, of every fault and of everybody else's steps is tried by
//! a model checker ([`stateright`]), within bounds that each model states. A model is worth something only if it can fail, so
//! each comes with variants that leave one precaution out, and for each of these a history is found that breaks a promise.
//!
//! * [`creation`]: an object is made once, whatever happens to the request, to its answer, and to us.
//! * `tests/delivery`: a write under way against edits, readings and its own echo. There the real heart takes the steps, and the variants are its
//!   mutants, so this one lives among the tests, which alone can switch rules off.
//! * [`search`]: how a model is searched, and what is said about it.

pub mod creation;
pub mod search;
