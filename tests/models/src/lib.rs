//! Protocols of the service as models: every order of every step, of every fault and of everybody else's steps is tried by
//! a model checker ([`stateright`]), within bounds that each model states. A model is worth something only if it can fail, so
//! each comes with variants that leave one precaution out, and for each of these a history is found that breaks a promise.
//!
//! * [`creation`]: an object is made once, whatever happens to the request, to its answer, and to us.
//! * [`search`]: how a model is searched, and what is said about it.

pub mod creation;
pub mod search;
