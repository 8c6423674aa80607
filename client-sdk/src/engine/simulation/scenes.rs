//! Short stories of single rules.
