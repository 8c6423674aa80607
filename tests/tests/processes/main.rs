//! The real binary in real trouble: ended at one line, on a full disk, on a damaged file, behind a line that fails, stopped
//! for a while, with clocks that jump. Each story is told alone; `kill_cycles` has all crashes together.

mod crashes;
mod damaged_file;
mod full_disk;
mod pauses;
mod slow_lines;

use syncline_tests::{accounts, api, patience, proxy, stage};
