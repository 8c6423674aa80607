//! `manual`: people decide. The agreed value stays and every candidate is kept in the conflict list until one is chosen.

use super::Choice;

/// No candidate ever wins by itself.
pub(super) const CHOICE: Choice = Choice::Agreed;
