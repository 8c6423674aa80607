//! The judge is judged: hand-made evidence in which something is wrong, and is found.
