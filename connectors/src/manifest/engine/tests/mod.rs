//! What the engine does with each fact that a manifest can state, against canned answers.

#[cfg(test)]
mod access;
#[cfg(test)]
mod pushes;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod walks;
#[cfg(test)]
mod writes;
