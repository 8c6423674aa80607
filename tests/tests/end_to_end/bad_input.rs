//! Stories of bad_input.
